/**
 * The keys of the messages of page and worker. Most pages never see an error, so they download only keys, and the
 * messages with their first error (error-messages.ts). The keys of the core's messages begin with other characters
 * (src/rules/base/messages.rs).
 */

export const NO_TOKEN = '\x07a'
export const NO_STREAMS = '\x07b'
export const UNSUPPORTED_CONTEXT = '\x07c'
export const NO_CALLBACK = '\x07d'
export const NO_RESPONSE = '\x07e'
export const NO_WORKER = '\x07f'
export const NO_OPTION = '\x07g'
export const NO_ADDRESS = '\x07h'
export const A_FUNCTION = '\x07i'
export const UNREADABLE = '\x07j'
export const TRAPPED = '\x07k'
export const THREW = '\x07l'
export const NOT_CREATED = '\x07n'
export const LOCK_STOLEN = '\x07o'
export const PLATFORM = '\x07p'
export const EXPOSED = '\x07q'
export const NOT_CONTROLLED = '\x07r'
export const NO_TIME_LIMIT = '\x07s'
export const NO_RESUME = '\x07t'
export const OTHER_ACCOUNT = '\x07u'
export const NO_MEDIA = '\x07v'
export const NOT_PLAIN = '\x07w'
export const NO_FILE = '\x07x'
export const UNCLAIMED = '\x07y'
