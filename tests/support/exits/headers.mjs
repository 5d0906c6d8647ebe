/** The headers of the pages from which the test of exits sends data, by the column of the table in docs/exits.md. */
import { dist } from '../dist.mjs'

const { securityHeaders } = await import(new URL('headers.js', dist))

/** The app's identifier at the provider. */
export const CLIENT = 'spa'

/** Returns the beginning of the query with which the app requests authorization. */
export const authorizationQuery = (app) =>
  `response_type=code&client_id=${CLIENT}&redirect_uri=${encodeURIComponent(`${app}/callback`)}`

/**
 * Returns the headers of a page.
 *
 * @param {'none' | 'policy' | 'list' | 'strict'} column `strict` is a list of the own origin alone, which also blocks
 *   redirects.
 * @param {{ app: string, provider: string }} origins
 */
export function headersOf(column, { app, provider }) {
  if (column === 'none') return {}
  const config = {
    issuer: provider,
    clientId: CLIENT,
    redirectUri: '/callback',
    par: false,
    apis: [{ url: '/api/' }],
  }
  const options = { origin: app, worker: '/auth.worker.js' }
  if (column === 'policy') return securityHeaders(config, options).page
  const metadata = {
    authorization_endpoint: `${provider}/authorize`,
    end_session_endpoint: `${provider}/logout`,
  }
  const { page } = securityHeaders(config, { ...options, metadata, exits: {} })
  return column === 'strict' ? { ...page, 'Connection-Allowlist': '(response-origin)' } : page
}
