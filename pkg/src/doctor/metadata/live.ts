/** The provider's live metadata, checked as the vault checks them. */
import { isEndpoint } from '../../headers/checks.js'
import type { Judge } from '../core.js'
import { type Document, searchMetadata } from '../discovery.js'
import { Failure } from '../options.js'
import { type Requests, seenOf } from '../requests.js'
import { templateFault } from './command-line.js'
import { type Members, pinnedMembers } from './pinned.js'

/** The longest document that the vault reads, in bytes (`MAX_LEN` in src/rules/oauth/metadata.rs). */
const LONGEST = 128 * 1024

/** The longest pinned metadata, as JSON. A provider has some twenty endpoints, and strongroom.json may have 64 KiB. */
const LONGEST_PINNED = 16 * 1024

const REQUIRED = ['authorization_endpoint', 'token_endpoint']

/** The endpoints that the vault checks, and without which it works. */
const OPTIONAL = [
  'device_authorization_endpoint',
  'end_session_endpoint',
  'pushed_authorization_request_endpoint',
  'revocation_endpoint',
]

/** The members that are to be pinned, and the names of endpoints that no vault could use. */
export interface Live {
  members: Members
  ignored: string[]
}

/** Reads the members that are to be pinned. @throws Failure */
export const readLive = async (issuer: string, requests: Requests, judge: Judge): Promise<Live> => {
  const { reply, document } = await searchMetadata(issuer, requests)
  if (reply.body.length > LONGEST) {
    throw new Failure(`${reply.url} is longer than 128 KiB, so no vault reads it`)
  }
  if (!document) {
    const seen = reply.status === 200 ? `${seenOf(reply)}, which is not a JSON object` : seenOf(reply)
    throw new Failure(
      `${issuer} has no metadata: ${seen} for ${reply.url}. The issuer must be exactly as the provider's metadata names it`,
    )
  }
  checkIssuerOf(document, issuer, reply.url)
  const all = pinnedMembers(document)
  if (JSON.stringify(all).length > LONGEST_PINNED) {
    throw new Failure(`the endpoints in ${reply.url} are longer than 16 KiB, which are too many to pin`)
  }
  const ignored = Object.keys(all).filter((name) => !isUsable(judge, issuer, all, name))
  const members = Object.fromEntries(Object.entries(all).filter(([name]) => !ignored.includes(name)))
  // The core counts a member that is null as missing.
  const required = Object.fromEntries(REQUIRED.map((name) => [name, null]))
  const fault = judge(configWith(issuer, all, { ...required, ...members }), JUDGED_AT)
  if (fault) throw new Failure(`the vault would refuse ${reply.url}: ${fault.replace('`metadata`: ', '')}`)
  return { members, ignored }
}

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
  metadata,
})

/** Returns false for an endpoint that is not a usable address: the vault ignores it in a live document, too. */
const isUsable = (judge: Judge, issuer: string, members: Members, name: string): boolean => {
  if (!name.endsWith('_endpoint') || REQUIRED.includes(name)) return true
  if (!OPTIONAL.includes(name)) return isEndpoint(members[name])
  const { authorization_endpoint, token_endpoint, jwks_uri } = members
  const required = {
    issuer,
    authorization_endpoint,
    token_endpoint,
    ...(jwks_uri !== undefined && { jwks_uri }),
  }
  return judge(configWith(issuer, members, { ...required, [name]: members[name] }), JUDGED_AT) === undefined
}
