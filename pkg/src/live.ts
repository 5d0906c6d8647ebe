/**
 * Event sources and sockets. A file of its own, which a page loads when it opens the first of them: until then a
 * shell stands for it (src/shell.ts).
 */
export { eventSource } from './eventsource.js'
export { webSocket } from './websocket.js'
