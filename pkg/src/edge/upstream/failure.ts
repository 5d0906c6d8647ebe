/** Codes and names of failures, as platforms tell them. Messages are not used, because they may contain a secret. */

/** Returns the codes of an error of `fetch` and of an error itself, the most precise first. */
const codesOf = (error: unknown): unknown[] => {
  const { code, cause } = Object(error) as { code?: unknown; cause?: { code?: unknown } }
  return [cause?.code, code]
}

/** Returns the code or name of an error, such as `ECONNREFUSED`, or an empty string. */
export const nameOf = (error: unknown): string => {
  const { name, constructor } = Object(error) as { name?: unknown; constructor?: { name?: unknown } }
  // Each failure of `fetch` is a TypeError. Many classes of errors leave the name `Error`.
  const found = [...codesOf(error), name, constructor?.name].find(
    (text): text is string => typeof text === 'string' && /^(?!(Type)?Error$)[\w.-]{1,40}$/.test(text),
  )
  return found ?? ''
}

/** Returns true if the connection ended before the response began, as far as the platform tells. */
export const isClosedConnection = (error: unknown): boolean =>
  codesOf(error).some((code) => /^(ECONNRESET|EPIPE|UND_ERR_SOCKET|ConnectionClosed)$/.test(`${code}`))
