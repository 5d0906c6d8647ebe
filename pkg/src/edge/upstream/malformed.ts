/**
 * Removes the bytes of a malformed response from an error of Node's `fetch`. They may contain a token, and the platform
 * or the app may write the error to a log. Returns the error.
 */
export const withoutBytes = (error: unknown): unknown => {
  Reflect.deleteProperty(Object((Object(error) as Error).cause) as object, 'data')
  return error
}
