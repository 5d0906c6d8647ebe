import { request as plain } from 'node:http'
import { request as encrypted } from 'node:https'

/** The number of calls by which a thief, or the owner, tries a session. */
export const CALLS = 8

/** The milliseconds after which a copied bound cookie is no longer valid: its eleven minutes have passed. */
export const LATER_MS = 661_000

/** The headers, besides the cookies, that a handler requires from a script of the app. A thief can send them as well. */
const AS_THE_APP = { 'x-strongroom': '1', 'sec-fetch-site': 'same-origin' }

/**
 * Calls the API through a handler with copied cookies, as any HTTP client can. Resolves with the number of calls that
 * succeed.
 *
 * @param {string} origin The app's origin.
 * @param {string} name The handler: `ordinary` or `bound`.
 * @param {string} cookie The copied cookies, as a `Cookie` header.
 */
export async function callWithCopy(origin, name, cookie) {
  const url = new URL(`/${name}/api/orders`, origin)
  const statuses = await Promise.all(Array.from({ length: CALLS }, () => call(url, cookie)))
  return statuses.filter((status) => status === 200).length
}

function call(url, cookie) {
  return new Promise((resolve, reject) => {
    const open = url.protocol === 'https:' ? encrypted : plain
    // A thief does not care about the certificate, which is self-signed here.
    const options = { headers: { ...AS_THE_APP, cookie }, family: 4, agent: false, rejectUnauthorized: false }
    const request = open(url, options, (response) => {
      response.resume()
      response.on('end', () => resolve(response.statusCode))
    })
    request.on('error', reject)
    request.end()
  })
}
