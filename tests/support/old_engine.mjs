/** Makes pages and workers lack the built-ins that are younger than the oldest engines of docs/browsers.md. */

/**
 * The younger built-ins, by MDN's browser-compat-data, below the objects that have them. `at`, `hasOwn` and `replaceAll` are
 * a little older, and removed as well.
 */
const YOUNGER = {
  globalThis:
    'CompressionStream DecompressionStream CookieStore cookieStore navigation ReadableByteStreamController ReportingObserver scheduler URLPattern',
  AbortSignal: 'any timeout',
  'AbortSignal.prototype': 'throwIfAborted',
  Array: 'fromAsync',
  'Array.prototype': 'at findLast findLastIndex toReversed toSorted toSpliced with',
  'ArrayBuffer.prototype': 'resize transfer transferToFixedLength',
  'Document.prototype': 'prerendering startViewTransition',
  'Headers.prototype': 'getSetCookie',
  'Iterator.prototype': 'drop every filter find flatMap forEach map reduce some take toArray',
  Map: 'groupBy',
  'Navigator.prototype': 'userActivation',
  Object: 'groupBy hasOwn',
  Promise: 'try withResolvers',
  ReadableStream: 'from',
  RegExp: 'escape',
  'Request.prototype': 'body bytes duplex',
  Response: 'json',
  'Response.prototype': 'bytes',
  'Set.prototype': 'difference intersection isDisjointFrom isSubsetOf isSupersetOf symmetricDifference union',
  'String.prototype': 'at isWellFormed replaceAll toWellFormed',
  URL: 'canParse parse',
  Uint8Array: 'fromBase64 fromHex',
  'Uint8Array.prototype': 'toBase64 toHex',
}

/** Script that removes the younger built-ins, or throws. A page or worker runs it before anything else. */
export const REMOVE_YOUNGER = `
for (const [path, names] of Object.entries(${JSON.stringify(YOUNGER)})) {
  const owner = path.split('.').reduce((object, name) => object?.[name], globalThis)
  for (const name of names.split(' ')) {
    for (let each = owner; each; each = Object.getPrototypeOf(each)) delete each[name]
    if (owner && name in owner) throw new Error(path + '.' + name + ' is still there')
  }
}`
