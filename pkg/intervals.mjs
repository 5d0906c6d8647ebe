/**
 * Writes the table in docs/intervals.md: every constant of the sources that is a duration, and the numbers of attempts,
 * with the first sentence of its comment.
 *
 *   node pkg/intervals.mjs
 */
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { pathToFileURL } from 'node:url'
import { markdownTable } from '../tests/support/report.mjs'

const root = new URL('../', import.meta.url)
const read = (path) => readFile(new URL(path, root), 'utf8')

const DOCUMENT = 'docs/intervals.md'

/** Constants that are no `Millis`: numbers of attempts, and durations of TypeScript, in the unit that is named. */
const OTHERS = {
  'src/rules/oauth/refresh_policy.rs': {
    MAX_WAITED_FAILURES: '',
    MAX_SCHEDULED: '',
    MIN_REFUSALS: '',
    MIN_HIDDEN: '',
    OUTAGE_CALL_WAIT: ' ms',
    LONG_OUTAGE_CALL_WAIT: ' ms',
  },
  'src/vault/refresh/proof.rs': { MAX_UNANSWERED: '' },
  'src/vault/tokens/revocation.rs': { ATTEMPTS: '', RETRY_AFTER_SECONDS: ' s' },
  'src/edge/isolate/outage.rs': { JITTER: ' ms' },
  'src/edge/provider/tokens.rs': { REVOCATIONS: '' },
  'src/edge/refresh.rs': { ATTEMPTS: '', COMMITS: '', INTENTS: '', CONFLICTS: '' },
  'src/edge/refresh/end.rs': { ATTEMPTS: '' },
  'src/rules/egress/body_delivery.rs': { TIME_LIMIT_MS: ' ms', PAUSE_MS: ' ms' },
  'pkg/src/doctor/requests.ts': { TIME_LIMIT: ' ms' },
  'pkg/src/edge/coordinators/coordinator.ts': { FIRST_PAUSE: ' ms', LONGEST_PAUSE: ' ms' },
  'pkg/src/edge/host.ts': { BODY_TIME: ' ms', WAIT_MARGIN: ' ms' },
  'pkg/src/edge/upstream/provider.ts': { LONGEST_WAIT: ' ms' },
  'pkg/src/extension/client.ts': { RETRY_DELAYS: ' ms' },
  'pkg/src/media/media.ts': { HELLO: ' ms', CHECK: ' ms', TICKET: ' ms' },
  'pkg/src/page/auth/create-auth.ts': { PAUSE: ' ms', RETRY_INTERVAL: ' ms', OFFLINE_INTERVAL: ' ms' },
  'pkg/src/worker/store-lock.ts': { ANSWERED_WITHIN: ' ms' },
  'pkg/src/page/connect.ts': { LEAVE: ' ms', REMINDER: ' ms' },
  'pkg/src/page/connection/connection.ts': { MAX_THEFTS: '', THEFT_PERIOD: ' ms' },
  'pkg/src/page/connection/reconnect.ts': { TIME_LIMIT: ' s' },
  'pkg/src/page/connection/worker-failure.ts': { REASON_DELAY: ' ms', TIME_LIMIT: ' ms', ENTRY_DELAY: ' ms' },
  'pkg/src/page/load.ts': { TIME_LIMIT: ' s', EXPLANATION: ' s', MEMORY: ' ms' },
  'pkg/src/page/guards/attempts.ts': { PAUSE: ' s', SHORT_PAUSE: ' s', MAX_RECENT: '' },
  'pkg/src/page/guards/guard.ts': { MAX_RECENT: '', PERIOD: ' ms' },
  'pkg/src/page/guards/resume.ts': { FRAME_TIMEOUT: ' s', NAVIGATION_TIMEOUT: ' s' },
  'pkg/src/page/login/await-login.ts': { CHECK_INTERVAL: ' ms', MIN_CHECKS: '' },
  'pkg/src/page/login/pass-response.ts': { HANDSHAKE_TIMEOUT: ' s' },
  'pkg/src/page/media/page-media.ts': { TIME_LIMIT: ' ms', CLAIM_INTERVAL: ' ms', FRAME_TIME: ' ms' },
  'pkg/src/page/streaming/event-source.ts': { RETRY: ' ms', LONGEST: ' ms', MIN_DELAY: ' ms' },
  'pkg/src/page/token-handler/handler-session.ts': { READ_INTERVAL: ' s', NEWS_TIME: ' ms' },
  'pkg/src/page/token-handler/send-logout.ts': { LOGOUT_TIME: ' ms' },
  'pkg/src/protocol/repeat.ts': {
    RETRY_DELAYS: ' ms',
    OFFLINE_ATTEMPTS: '',
    LOOK: ' ms',
    STALL: ' ms',
    STALLS: '',
  },
  'pkg/src/vault-origin/callback-cookies.ts': { LIFETIME: ' s' },
  'pkg/src/vault-origin/connect-frame.ts': { RETRY_DELAYS: ' ms' },
  'pkg/src/vault-origin/frame-state.ts': { RELOAD_DELAYS: ' ms' },
  'pkg/src/vault-origin/vault-frame.ts': { CLOSE_DELAY: ' s' },
  'pkg/src/worker/wasm.ts': { TIME_LIMIT: ' s' },
}

/** Returns the constants of a source, each with its value and the first sentence of its comment. */
export function constantsOf(source) {
  const lines = source.split('\n')
  return lines.flatMap((line, i) => {
    const [, name, type, value] =
      /^\s*(?:export |pub(?:\([^)]*\))? )?const ([A-Z_]+)(?:: (\w+|\(Millis, Millis\)))? = (.*?);?$/.exec(
        line,
      ) ?? []
    if (!name) return []
    let start = i
    while (/^\s*(\/\/\/|\/\*\*|\*)/.test(lines[start - 1] ?? '')) start--
    const comment = lines
      .slice(start, i)
      .map((text) => text.replace(/^\s*(\/\/\/|\/\*\*|\*\/|\*)\s?|\s*\*\/$/g, ''))
      .join(' ')
      .trim()
    return [{ name, type, value: value.replace(/(?<=\d)_(?=\d)/g, ''), what: sentence(comment) }]
  })
}

/** Returns the first sentence of a comment, without links. */
const sentence = (comment) =>
  (/^.*?\.(?= |$)/.exec(comment)?.[0] ?? comment)
    .replace(/\[(`?[\w:]+`?)\](\([^)]*\))?/g, '$1')
    .replace(/\{@link (\w+)\}/g, '`$1`')

const UNITS = [
  ['days', 86_400],
  ['h', 3600],
  ['min', 60],
  ['s', 1],
]

/** Returns a number of seconds in the largest unit in which it is a whole number, and more than one. */
const inWords = (seconds) => {
  const [unit, length] =
    UNITS.find(([, length]) => seconds % length === 0 && seconds > length) ?? UNITS.at(-1)
  return `${seconds / length} ${unit}`
}

/** Returns a value of Rust as people write it. */
const readable = (value) =>
  value
    .replace(/^\((Millis.+), (Millis.+)\)$/, (_, first, second) => [first, second].map(readable).join(', '))
    .replace(/\d+( \* \d+)+/, (product) => product.split(' * ').reduce((a, b) => a * b))
    .replace(/^Millis::from_secs\((\d+)\)$/, (_, seconds) => inWords(Number(seconds)))
    .replace(/^Millis\((\d+)\)$/, '$1 ms')
    .replace(/^\[(.*)\]/, '$1')

/** Resolves with the rows of the table. */
async function rows() {
  const paths = (await readdir(new URL('src', root), { recursive: true }))
    .filter((path) => path.endsWith('.rs'))
    .map((path) => `src/${path}`)
  const all = [...new Set([...paths, ...Object.keys(OTHERS)])].sort()
  const found = []
  for (const path of all) {
    const [code] = (await read(path)).split('\n#[cfg(test)]')
    const constants = constantsOf(code)
    const missing = Object.keys(OTHERS[path] ?? {}).filter(
      (name) => !constants.some((one) => one.name === name),
    )
    if (missing.length > 0) throw new Error(`${path} has no constant ${missing}`)
    for (const { name, type, value, what } of constants) {
      const unit = OTHERS[path]?.[name]
      if (/\bMillis\b/.test(type) || unit !== undefined)
        found.push([`\`${path}: ${name}\``, readable(value) + (unit ?? ''), what])
    }
  }
  return found
}

/** Resolves with the document as it must be. */
export async function written(document) {
  const table = markdownTable([['constant', 'value', 'what it is'], ...(await rows())])
  return document.replace(/(<!-- intervals -->\n\n).*?(?=\n\n<!-- end -->)/s, (_, start) => start + table)
}

export const readDocument = () => read(DOCUMENT)

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  await writeFile(new URL(DOCUMENT, root), await written(await readDocument()))
}
