/** The API of servers that have none. It accepts their access tokens with and without a proof. */
import { startApi } from '../support/api.mjs'

export const AUDIENCE = 'urn:strongroom:test:orders'

/**
 * Starts an API for a server. Resolves with the server and its API, which end together.
 *
 * @param {import('./driver.mjs').Setup} setup
 * @param {import('./driver.mjs').Running} server
 * @param {string} [path] The path of the issuer.
 * @returns {Promise<import('./driver.mjs').Running>}
 */
export async function addApi({ origin, apps }, server, path = '') {
  const api = await startApi({
    issuer: origin + path,
    provider: server.origin + path,
    audience: AUDIENCE,
    publicOrigin: origin,
    allowedOrigins: apps,
    dpop: 'optional',
  })
  return {
    ...server,
    api: api.address,
    async stop() {
      await api.close()
      await server.stop()
    },
  }
}
