/**
 * Codes and names of failures, as platforms tell them. Messages are used only of errors that neither contain a request nor
 * what the provider responded, because they may contain a secret.
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

/** An address in a message, and what follows it without a space. */
const ADDRESS = /\b[a-z][\w+.-]*:\/\/\S*/gi

/** An address at the end of a message. If the message is cut, its last address may have lost its host. */
const LAST_ADDRESS = /\b[a-z][\w+.-]*:\/\/\S*$/i

/** Returns the scheme and the host of an address, or only the scheme if the address cannot be parsed. */
const withoutSecrets = (address: string): string => {
  const [scheme] = address.split('//')
  // A message may have a mark of punctuation after an address.
  const ended = address.replace(/[)"'>,;:.]+$/, '')
  return URL.canParse(ended) ? `${scheme}//${new URL(ended).host}` : `${scheme}//`
}

/** The longest description of an error. */
const LONGEST = 200

/** The number of characters of a message that are read. A message may be long, since it may quote the other side. */
const READ = 1000

/** Returns the class and the message of an error. The message may contain what the other side has sent. */
export const messageOf = (error: unknown): { name: string; message: string } => {
  const { cause } = Object(error) as { cause?: { message?: unknown } }
  // Messages of `fetch`, such as `terminated`, say less than their cause.
  const { name, message } = Object(cause?.message ? cause : error) as { name?: unknown; message?: unknown }
  const text = (given: unknown, none: string) => (typeof given === 'string' ? given : none)
  return { name: text(name, 'Error'), message: text(message, '') }
}

/** Returns the name of an error and its message as one line, without what follows the host of an address. */
export const describe = (error: unknown): string => {
  const { name, message } = messageOf(error)
  const read = message.length > READ ? message.slice(0, READ).replace(LAST_ADDRESS, '') : message
  return `${nameOf(error) || name}: ${read}`
    .replace(ADDRESS, withoutSecrets)
    .replace(/[^ -~]+/g, ' ')
    .slice(0, LONGEST)
}

/** Returns true if the connection ended before the response began, as far as the platform tells. */
export const isClosedConnection = (error: unknown): boolean =>
  codesOf(error).some((code) => /^(ECONNRESET|EPIPE|UND_ERR_SOCKET|ConnectionClosed)$/.test(`${code}`))
