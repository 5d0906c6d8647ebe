/** Paths that browsers take for files in the worker's folder, and servers for files outside. */

/**
 * Returns a regular expression, in which case does not matter, for raw paths with an encoded slash or backslash in the
 * worker's folder, also encoded several times. For `worker-src`, `/assets/..%2fevil.js` and `/assets%2f..%2fevil.js` are
 * in `/assets/`. Servers that decode the path leave the folder. Returns `undefined` if `worker` is a file.
 */
export const leavingFolder = (worker: string): string | undefined => {
  if (!worker.endsWith('/')) return undefined
  const folder = [...worker.slice(1)].map(escapedOrNot).join('')
  // The slash at the folder's end may itself be the encoded one.
  return `^/(?=${folder})[^?]*%(25)*(2f|5c)`
}

/** Returns a regular expression for a character of a path, which may also be escaped: browsers treat both as equal. */
const escapedOrNot = (character: string): string => {
  const code = character.charCodeAt(0).toString(16).padStart(2, '0')
  return `(${character.replace(/[^\w-]/, '\\$&')}|%${code})`
}
