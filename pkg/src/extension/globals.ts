/**
 * The globals of a document that the page's code uses and a service worker lacks. The build gives these values to all
 * code of the entry, because the same file runs in pages and in the service worker.
 */
const scope = globalThis

/** A service worker has no events of a window, so listeners for them are not added. */
const window = scope.window ?? { addEventListener() {}, removeEventListener() {}, open: () => null }
const document = scope.document ?? {}

export { document, window }
