/**
 * Event sources, sockets, and who wants to know of progress: a file of its own, which a page loads with the first of
 * them. Until then a shell stands for a source or a socket (src/shell.ts).
 */
export { eventSource } from './eventsource.js'
export { watched } from './progress.js'
export { webSocket } from './websocket.js'
