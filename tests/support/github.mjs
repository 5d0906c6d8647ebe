import { createHash, randomBytes } from 'node:crypto'
import { listen } from './listen.mjs'

const CODE_PATH = '/login/oauth/authorize'
const TOKEN_PATH = '/login/oauth/access_token'

/**
 * Starts a server that behaves as GitHub documents, since GitHub itself is not on loopback. Users are signed in and
 * allow everything. Sources are in docs/providers/github.md.
 *
 * - Token responses are form-encoded unless the request accepts JSON.
 * - Errors of the token endpoint have status 200.
 * - The client's identifier and secret are parameters of the body.
 * - Tokens of an OAuth app never expire. Those of a GitHub App expire after eight hours, and a refresh replaces both
 *   tokens.
 * - The API requires the header `User-Agent`.
 *
 * @param {object} options
 * @param {{ id: string, secret: string, redirectUri: string }} options.client
 * @param {boolean} [options.isGitHubApp]
 */
export async function startGitHub({ client, isGitHubApp = false }) {
  const codes = new Map()
  /** Access tokens that are valid, each with its refresh token. */
  const tokens = new Map()
  /** The values of `Accept` in token requests. */
  const accepted = []
  /** The values of `User-Agent` in calls of the API. */
  const agents = []
  const settings = { secret: client.secret }
  const random = (prefix) => prefix + randomBytes(18).toString('hex')

  function issue() {
    const access = random(isGitHubApp ? 'ghu_' : 'gho_')
    const refresh = isGitHubApp ? random('ghr_') : undefined
    tokens.set(access, refresh)
    const common = { access_token: access, scope: isGitHubApp ? '' : 'repo,gist', token_type: 'bearer' }
    if (!isGitHubApp) return common
    return { ...common, expires_in: 28800, refresh_token: refresh, refresh_token_expires_in: 15897600 }
  }

  function exchange(form) {
    if (form.get('client_id') !== client.id || form.get('client_secret') !== settings.secret) {
      return { error: 'incorrect_client_credentials', error_description: 'They are incorrect.' }
    }
    if (form.get('grant_type') === 'refresh_token') {
      const found = [...tokens].find(([, refresh]) => refresh && refresh === form.get('refresh_token'))
      if (!found) return { error: 'bad_refresh_token', error_description: 'It is incorrect or expired.' }
      tokens.delete(found[0])
      return issue()
    }
    const challenge = codes.get(form.get('code'))
    codes.delete(form.get('code'))
    const verifier = form.get('code_verifier') ?? ''
    if (!challenge || challenge !== createHash('sha256').update(verifier).digest('base64url')) {
      return { error: 'bad_verification_code', error_description: 'The code passed is incorrect or expired.' }
    }
    return issue()
  }

  async function handler(request, response) {
    const { pathname, searchParams } = new URL(request.url, 'http://github')
    if (pathname === CODE_PATH) {
      const code = random('')
      codes.set(code, searchParams.get('code_challenge'))
      const back = new URLSearchParams({ code, state: searchParams.get('state') })
      return response.writeHead(302, { Location: `${client.redirectUri}?${back}` }).end()
    }
    if (pathname === TOKEN_PATH) {
      const chunks = []
      for await (const chunk of request) chunks.push(chunk)
      const answer = exchange(new URLSearchParams(Buffer.concat(chunks).toString()))
      const { accept = '' } = request.headers
      accepted.push(accept)
      const isJson = accept.includes('application/json')
      const type = isJson ? 'application/json; charset=utf-8' : 'application/x-www-form-urlencoded'
      response.setHeader('Content-Type', type)
      return response.end(isJson ? JSON.stringify(answer) : new URLSearchParams(answer).toString())
    }
    const agent = request.headers['user-agent']
    if (!agent) return response.writeHead(403).end('a User-Agent is required')
    agents.push(agent)
    const token = request.headers.authorization?.replace(/^Bearer /, '')
    response.setHeader('Content-Type', 'application/json; charset=utf-8')
    if (!tokens.has(token)) return response.writeHead(401).end('{"message":"Bad credentials"}')
    response.end(JSON.stringify({ login: 'octocat', id: 583231, name: 'The Octocat' }))
  }

  const server = await listen({ handler })
  return {
    origin: server.origin,
    metadata: {
      authorization_endpoint: server.origin + CODE_PATH,
      token_endpoint: server.origin + TOKEN_PATH,
    },
    /** The API's address, which is on another host in reality. */
    api: `${server.origin}/api/`,
    accepted,
    agents,
    settings,
    /** Withdraws all tokens, as a user does who removes the app. */
    withdraw: () => tokens.clear(),
    close: server.close,
  }
}
