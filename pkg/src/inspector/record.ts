/**
 * Records the messages between this page and its vault, for `<strongroom-inspector>`. Import this module before all
 * others, and only while you develop: it replaces `postMessage`, `onmessage` and `addEventListener` of ports, workers and
 * broadcast channels, and keeps up to 2,000 messages in memory. See docs/inspector.md.
 */
import { startRecording } from './recorder.js'

// On a server there is nothing to record.
if (globalThis.document) startRecording(true)
