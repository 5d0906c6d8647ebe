/** The search for a provider's metadata, as the vault does it (src/rules/oauth/metadata.rs). */
import { jsonOf, type Reply, type Requests } from './requests.js'

/** The members of a discovery document, as it arrived. */
export type Document = Record<string, unknown>

/** The locations of a discovery document (OpenID Connect Discovery 4, RFC 8414 3.1 and 5). */
export const locations = (issuer: string): string[] => {
  const base = issuer.replace(/\/$/, '')
  const { origin } = new URL(base)
  const path = base.slice(origin.length)
  const [openid, oauth] = ['/.well-known/openid-configuration', '/.well-known/oauth-authorization-server']
  return [...new Set([base + openid, origin + oauth + path, origin + openid + path, base + oauth])]
}

/**
 * Requests the provider's metadata. Resolves with the response that has them, or with the response of the first location and
 * without a document. `failed` is an earlier location that may have a better document, and failed.
 */
export const searchMetadata = async (
  issuer: string,
  requests: Requests,
  headers: Record<string, string> = {},
): Promise<{ reply: Reply; document?: Document; failed?: Reply }> => {
  let first: Reply | undefined
  let failed: Reply | undefined
  for (const url of locations(issuer)) {
    const reply = await requests.send(url, { headers })
    first ??= reply
    const document = reply.status === 200 ? jsonOf(reply) : undefined
    if (document) return { reply, document, ...(failed && { failed }) }
    if (reply.status === 0 || reply.status === 429 || reply.status >= 500) failed ??= reply
  }
  return { reply: first! }
}
