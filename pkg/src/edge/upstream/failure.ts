/**
 * Codes and names of failures, as platforms tell them. Messages are not used, because they may contain a secret, except for
 * the words by which Redis names a failure.
 */

/**
 * The first word of an error of Redis, which its clients do not have as a code. Before Redis 7, the error of a command in
 * a script follows a description of the script and a hyphen.
 */
const OF_REDIS =
  /(?:^|-)(READONLY|OOM|NOAUTH|WRONGPASS|NOPERM|MISCONF|NOREPLICAS|LOADING|MASTERDOWN|CLUSTERDOWN|BUSY|TRYAGAIN)\b/

/** Returns the codes of an error of `fetch` and of an error itself, the most precise first. */
const codesOf = (error: unknown): unknown[] => {
  const { code, cause } = Object(error) as { code?: unknown; cause?: { code?: unknown } }
  return [cause?.code, code]
}

/** Returns the code or name of an error, such as `ECONNREFUSED`, or an empty string. */
export const nameOf = (error: unknown): string => {
  const { name, message, constructor } = Object(error) as {
    name?: unknown
    message?: unknown
    constructor?: { name?: unknown }
  }
  const ofRedis = typeof message === 'string' ? OF_REDIS.exec(message)?.[1] : undefined
  // Each failure of `fetch` is a TypeError. Many classes of errors leave the name `Error`.
  const found = [...codesOf(error), ofRedis, name, constructor?.name].find(
    (text): text is string => typeof text === 'string' && /^(?!(Type)?Error$)[\w.-]{1,40}$/.test(text),
  )
  return found ?? ''
}

/** Returns true if the connection ended before the response began, as far as the platform tells. */
export const isClosedConnection = (error: unknown): boolean =>
  codesOf(error).some((code) => /^(ECONNRESET|EPIPE|UND_ERR_SOCKET|ConnectionClosed)$/.test(`${code}`))
