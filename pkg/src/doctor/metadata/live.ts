/** The provider's live metadata, checked as the vault checks them. */
import type { Judge } from '../../headers/core.js'
import { type Document, searchMetadata } from '../discovery.js'
import { Failure } from '../options.js'
import { type Requests, seenOf } from '../requests.js'
import { OPTIONAL } from '../../generated/metadata.js'
import { templateFault } from './command-line.js'
import { type Members, pinnedMembers } from './pinned.js'

/** The longest document that the vault reads, in bytes (`MAX_LEN` in src/rules/oauth/metadata.rs). */
const LONGEST = 128 * 1024

/** The longest pinned metadata, as JSON. A provider has some twenty endpoints, and strongroom.json may have 64 KiB. */
const LONGEST_PINNED = 16 * 1024

/** The members that are to be pinned, and the names of those that the vault ignores, because they are not usable. */
export interface Live {
  members: Members
  ignored: string[]
}

/** Reads the members that are to be pinned. @throws Failure */
export const readLive = async (issuer: string, requests: Requests, judge: Judge): Promise<Live> => {
  const { reply, document, failed } = await searchMetadata(issuer, requests)
  if (document && failed) {
    throw new Failure(
      `the metadata of ${issuer} are not pinned from ${reply.url}, because ${failed.url} may have more: ${seenOf(failed)}. Try again later`,
    )
  }
  if (reply.body.length > LONGEST) {
    throw new Failure(`${reply.url} is longer than 128 KiB, so no vault reads it`)
  }
  if (!document) {
    const seen = reply.status === 200 ? `${seenOf(reply)}, which is not a JSON object` : seenOf(reply)
    const fix = reply.status ? '. The issuer must be exactly as in the document' : ''
    throw new Failure(`the metadata of ${issuer} cannot be read: ${seen} for ${reply.url}${fix}`)
  }
  checkIssuerOf(document, issuer, reply.url)
  const members = pinnedMembers(document)
  if (JSON.stringify(members).length > LONGEST_PINNED) {
    throw new Failure(`the endpoints in ${reply.url} are longer than 16 KiB, which are too many to pin`)
  }
  const fault = judge(configWith(issuer, members, without(members, OPTIONAL)), JUDGED_AT)
  if (fault) throw new Failure(`the vault would refuse ${reply.url}: ${fault.replace('`metadata`: ', '')}`)
  const { authorization_endpoint, token_endpoint, jwks_uri } = members
  const { metadata: _, ...config } = configWith(issuer, members, {})
  const unpinnable = judge({ ...config, pinned: { at: '2026-01-31', ...members } }, JUDGED_AT)
  if (unpinnable) throw new Failure(`the endpoints in ${reply.url} cannot be pinned: ${unpinnable}`)
  const required = { authorization_endpoint, token_endpoint, jwks_uri }
  const isIgnored = (name: string) => {
    const value = members[name] || null
    return judge(configWith(issuer, members, { ...required, [name]: value }), JUDGED_AT) !== undefined
  }
  return { members, ignored: OPTIONAL.filter(isIgnored).sort() }
}

const without = (members: Members, names: readonly string[]) =>
  Object.fromEntries(Object.entries(members).filter(([name]) => !names.includes(name)))

/** Checks that the document is that of this issuer (RFC 8414 section 3.3). */
const checkIssuerOf = ({ issuer: named }: Document, issuer: string, url: string): void => {
  if (named === issuer) return
  if (typeof named !== 'string') throw new Failure(`${url} has no issuer, so it cannot be pinned`)
  if (/[{}]/.test(named)) throw new Failure(`${url}: ${templateFault(named)}`)
  throw new Failure(
    `${url} names the issuer ${named}, not ${issuer}. If it is your provider, use that issuer`,
  )
}

/** Any place of a worker: the metadata do not depend on it. */
const JUDGED_AT = 'https://app.example.com/auth.worker.js'

/** Returns a configuration by which the core judges metadata. Without keys, the server is one without OpenID Connect. */
const configWith = (issuer: string, { jwks_uri }: Members, metadata: Members) => ({
  issuer,
  clientId: 'app',
  redirectUri: '/callback',
  ...(jwks_uri === undefined ? { scope: '', identity: 'none' } : { scope: 'openid' }),
  apis: [{ url: 'https://app.example.com/api/' }],
  // The core counts a member that is null as missing.
  metadata: { authorization_endpoint: null, token_endpoint: null, ...metadata, issuer },
})
