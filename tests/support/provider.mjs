import { randomBytes } from 'node:crypto'
import { exportJWK, generateKeyPair } from 'jose'
import { findAccount } from './accounts.mjs'
import { Bookkeeper } from './bookkeeper.mjs'
import { readForm } from './body.mjs'
import { applyFault, Faults, waitFor } from './faults.mjs'
import { interactions } from './interaction.mjs'
import { Ledger } from './ledger.mjs'
import { listen } from './listen.mjs'
import { errors, interactionPolicy, Provider } from './oidc_provider.mjs'
import { escape, sendPage } from './pages.mjs'
import { createStore } from './store.mjs'
import { devicePages } from './device_pages.mjs'

const DAY_SECONDS = 24 * 60 * 60

const ROUTES = {
  authorization: '/auth',
  token: '/token',
  revocation: '/token/revocation',
  jwks: '/jwks',
  pushed_authorization_request: '/request',
  end_session: '/session/end',
}

/** The name of each path in the ledger and in faults. */
export const ENDPOINTS = {
  [ROUTES.authorization]: 'authorization',
  [ROUTES.token]: 'token',
  [ROUTES.revocation]: 'revocation',
  [ROUTES.jwks]: 'jwks',
  [ROUTES.pushed_authorization_request]: 'push',
  '/.well-known/openid-configuration': 'discovery',
  '/.well-known/oauth-authorization-server': 'discovery',
}

/**
 * Starts a real OpenID provider (oidc-provider, certified) on loopback: public clients with PKCE, rotating refresh
 * tokens whose reuse revokes the family, JWT access tokens, revocation (RFC 7009), `iss` in the authorization response
 * (RFC 9207), RP-initiated logout, and a ledger of requests and tokens (see ledger.mjs).
 *
 * @param {object} options
 * @param {string} options.audience The API's identifier (RFC 8707), in the `aud` of tokens for no other resource.
 * @param {object[]} options.clients Client metadata; see `publicClient()`.
 * @param {string[]} options.allowedOrigins Origins that may read the token endpoint's responses (CORS).
 * @param {string} [options.host] The host name for loopback. The default 127.0.0.1 is a different site than the app's.
 * @param {number} [options.port]
 * @param {boolean} [options.orNext]
 * @param {number} [options.accessTokenSeconds]
 * @param {number} [options.refreshTokenSeconds]
 * @param {number} [options.leewaySeconds] Seconds for which a rotated refresh token is still accepted. Default 0: reuse
 *   revokes the family at once.
 * @param {string} [options.publicOrigin] The provider's public origin, if it is behind a proxy.
 * @param {boolean} [options.refreshTokenAlways] True if a login gets a refresh token even without `offline_access`, as
 *   at Keycloak.
 * @param {Record<string, { accessTokenSeconds: number }>} [options.trusted] Clients, by id, that need no consent, as at
 *   a company's provider for the company's own apps.
 * @param {string[]} [options.algorithms] JWS algorithms, each with its own signing key. Access tokens are signed with
 *   the first algorithm, and ID tokens with the client's algorithm.
 * @param {boolean} [options.wantsPushed] True if authorization requests must be pushed (RFC 9126). Without this option
 *   they may be pushed.
 * @param {boolean} [options.deviceFlow] True if users can sign in on another device (RFC 8628).
 * @param {boolean} [options.backchannelLogout] True if the provider supports back-channel logout.
 * @param {Record<string, string>} [options.resources] The only resources (RFC 8707) for which tokens can be requested,
 *   each with its scopes. If `audience` is needed, list it too. The provider refuses all other resources with
 *   `invalid_target`. Without this option, it accepts any resource. A token request without a resource gets a token for the
 *   first resource of the authorization request, or for `audience`.
 * @param {boolean | 'nonce'} [options.dpop] True if the provider supports tokens that are bound to keys (RFC 9449).
 *   With `'nonce'`, proofs also need a nonce.
 * @param {{ ledger?: Ledger, rows?: Map<string, object>, keys?: object[] }} [options.kept] What outlives the process, so
 *   that a provider that was killed continues: the ledger, the rows of the storage, and the signing keys (JWKs).
 */
export async function startProvider({
  audience,
  clients,
  allowedOrigins,
  host,
  port = 0,
  orNext = false,
  accessTokenSeconds = 10,
  refreshTokenSeconds = 14 * DAY_SECONDS,
  leewaySeconds = 0,
  publicOrigin,
  refreshTokenAlways = false,
  trusted = {},
  algorithms = ['ES256'],
  resources,
  dpop = false,
  wantsPushed = false,
  deviceFlow = false,
  backchannelLogout = false,
  kept = {},
}) {
  /** Settings that a test may change while the provider runs. */
  const settings = {
    accessTokenSeconds,
    refreshTokenSeconds,
    leewaySeconds,
    /** The user's organization, which ID tokens state. By default, they state none. */
    organization: undefined,
    /** Headers of every response, including pages for the user. */
    headers: {},
    /** Rejects refreshes for every account with `invalid_grant`. */
    areAccountsBlocked: false,
    /** False for a provider without RFC 9207, which neither sends nor announces `iss`. */
    sendsIss: true,
  }
  const ledger = kept.ledger ?? new Ledger()
  const faults = new Faults()
  const bookkeeper = new Bookkeeper(ledger)
  /** @type {string[]} The proofs in token requests. */
  const proofs = []
  const nonceSecret = randomBytes(32)
  const cookieKeys = [randomBytes(32).toString('hex')]
  const adapter = createStore({ leewaySeconds: () => settings.leewaySeconds, rows: kept.rows })

  let provider
  let handle
  const server = await listen({
    host,
    port,
    orNext,
    handler: (request, response) => handle(request, response),
  })
  const issuer = publicOrigin ?? server.origin

  /** Replaces the signing keys, by new ones or by these. Sessions and refresh tokens stay valid. */
  async function changeKeys(keys) {
    keys ??= await Promise.all(algorithms.map(generateSigningKey))
    provider = new Provider(issuer, configuration(keys))
    provider.use(inFront)
    provider.use(interactions({ provider: () => provider, ledger }))
    provider.on('server_error', (_ctx, error) => console.error('the demo provider failed:', error))
    bookkeeper.follow(provider)
    handle = provider.callback()
  }

  async function inFront(ctx, next) {
    ctx.set(settings.headers)
    const endpoint = ENDPOINTS[ctx.path]
    const fault = ctx.method === 'OPTIONS' ? undefined : faults.take(endpoint)
    const request = { at: Date.now(), endpoint, fault: null }
    if (ctx.get('DPoP')) proofs.push(ctx.get('DPoP'))
    if (fault) await waitFor(fault)
    const changed = fault && (fault.drop || fault.answer)
    if (changed && fault.when !== 'after') {
      request.form = await readForm(ctx.req)
      request.fault = fault.drop ? 'dropped' : 'answered'
      applyFault(ctx, fault)
    } else {
      await next()
      if (!settings.sendsIss) removeIss(ctx)
      if (changed) request.fault = 'lost'
    }
    bookkeeper.enter(ctx, request)
    if (request.fault === 'lost') applyFault(ctx, fault)
  }

  function configuration(keys) {
    return {
      adapter,
      clients,
      findAccount: (ctx, subject) =>
        settings.areAccountsBlocked
          ? undefined
          : findAccount(ctx, subject, { org_id: settings.organization }),
      jwks: { keys },
      cookies: { keys: cookieKeys },
      pkce: { required: () => true },
      rotateRefreshToken: true,
      ...(refreshTokenAlways && { issueRefreshToken: () => true }),
      responseTypes: ['code'],
      routes: ROUTES,
      scopes: ['openid', 'offline_access'],
      claims: {
        openid: ['sub', 'org_id'],
        profile: ['name', 'preferred_username', 'locale'],
        email: ['email', 'email_verified'],
      },
      // The ID token contains the user's claims, because the demo does not use the userinfo endpoint.
      conformIdTokenClaims: false,
      // The clients are on this machine, and oidc-provider's own dispatcher would reject this machine's addresses.
      fetch: (url, { dispatcher, ...options }) => fetch(url, options),
      clientBasedCORS: (_ctx, origin) => allowedOrigins.includes(origin),
      enabledJWA: { idTokenSigningAlgValues: algorithms },
      features: {
        devInteractions: { enabled: false },
        dPoP: { enabled: Boolean(dpop), nonceSecret, requireNonce: () => dpop === 'nonce' },
        pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: wantsPushed },
        deviceFlow: { enabled: deviceFlow, ...devicePages },
        revocation: {
          enabled: true,
          allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId,
        },
        backchannelLogout: { enabled: backchannelLogout },
        rpInitiatedLogout: {
          enabled: true,
          logoutSource: askToSignOut,
          postLogoutSuccessSource: saySignedOut,
        },
        resourceIndicators: {
          enabled: true,
          defaultResource: (_ctx, _client, oneOf) => oneOf?.[0] ?? audience,
          useGrantedResource: () => true,
          getResourceServerInfo(_ctx, resource, { clientId }) {
            const scope = resources?.[resource]
            if (resources && !scope) throw new errors.InvalidTarget()
            return {
              audience: resource,
              scope: scope ?? 'openid profile email offline_access orders',
              accessTokenFormat: 'jwt',
              accessTokenTTL: (trusted[clientId] ?? settings).accessTokenSeconds,
              jwt: { sign: { alg: algorithms[0] } },
            }
          },
        },
      },
      ttl: {
        AccessToken: (_ctx, { resourceServer }) =>
          resourceServer?.accessTokenTTL ?? settings.accessTokenSeconds,
        AuthorizationCode: 60,
        DeviceCode: 600,
        Grant: 14 * DAY_SECONDS,
        IdToken: 300,
        Interaction: 3600,
        RefreshToken: () => settings.refreshTokenSeconds,
        Session: DAY_SECONDS,
      },
      loadExistingGrant: findGrant,
      interactions: { url: (_ctx, { uid }) => `/interaction/${uid}`, policy: policy() },
      renderError,
    }
  }

  /** Returns the user's grant to the client. Trusted clients get a new grant. */
  async function findGrant({ oidc: { client, params, provider, result, session } }) {
    const { clientId } = client
    const id = result?.consent?.grantId ?? session.grantIdFor(clientId)
    if (id) return provider.Grant.find(id)
    if (!trusted[clientId]) return undefined
    const grant = new provider.Grant({ accountId: session.accountId, clientId })
    grant.addOIDCScope(params.scope)
    grant.addResourceScope(audience, params.scope)
    await grant.save()
    return grant
  }

  await changeKeys(kept.keys)
  return {
    issuer,
    /** The server's own origin, even if the server is behind a proxy. */
    origin: server.origin,
    port: server.port,
    ledger,
    faults,
    settings,
    proofs,
    changeKeys,
    /** Waits until the access token has expired. The next one lives longer than any machine needs for the rest of a test. */
    async letAccessTokenExpire() {
      await ledger.accessTokenExpired()
      settings.accessTokenSeconds = 300
    },
    close: server.close,
  }
}

/**
 * Returns the metadata of a single-page app (RFC 7591): no secret, code flow, refresh tokens.
 *
 * @param {object} metadata `client_id`, `client_name`, `redirect_uris`, `post_logout_redirect_uris`, …
 */
export function publicClient(metadata) {
  return {
    token_endpoint_auth_method: 'none',
    application_type: 'web',
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    id_token_signed_response_alg: 'ES256',
    ...metadata,
  }
}

/**
 * Returns the prompts: sign-in, consent, and the choice of an account if the request asks for it (OpenID Connect Core
 * section 3.1.2.1).
 */
function policy() {
  const prompts = interactionPolicy.base()
  prompts.add(new interactionPolicy.Prompt({ name: 'select_account', requestable: true }), 0)
  return prompts
}

/** Removes `iss` from a redirect to the client, and its announcement from the metadata. */
function removeIss({ body, response }) {
  if (body?.issuer) delete body.authorization_response_iss_parameter_supported
  const location = response.get('Location')
  if (location) response.set('Location', location.replace(/&iss=[^&]*/, ''))
}

/** Resolves with a new private key as a JWK. */
export async function generateSigningKey(alg) {
  const { privateKey } = await generateKeyPair(alg, { extractable: true })
  const kid = `${alg}-${randomBytes(4).toString('hex')}`
  return { ...(await exportJWK(privateKey)), alg, kid, use: 'sig' }
}

function askToSignOut(ctx, form) {
  const body = `
    <h1>Sign out here too?</h1>
    <p class="lead">You are signed in at Lantern ID. Other apps may be using that.</p>
    ${form}
    <div class="buttons">
      <button form="op.logoutForm" name="logout" value="yes" autofocus>Sign out</button>
      <button form="op.logoutForm" class="quiet">Stay signed in</button>
    </div>`
  const uri = ctx.oidc.params.post_logout_redirect_uri
  sendPage(ctx, { title: 'Sign out', body, formAction: uri ? [new URL(uri).origin] : [] })
}

function saySignedOut(ctx) {
  sendPage(ctx, {
    title: 'Signed out',
    body: '<h1>Signed out</h1><p class="lead">You can close this page.</p>',
  })
}

function renderError(ctx, out) {
  const rows = Object.entries(out).map(
    ([key, value]) => `<p><code>${escape(key)}</code> ${escape(value)}</p>`,
  )
  const { status } = ctx
  const body = `<h1>That did not work</h1>${rows.join('')}${permittedUris(ctx, out)}`
  sendPage(ctx, { title: 'Error', status, body })
}

/** Returns the redirect URIs that the client may use, as HTML, if the provider has refused another one. */
function permittedUris({ oidc }, { error_description: description = '' }) {
  const [, name] = /^((?:post_logout_)?redirect_uri)\b/.exec(description) ?? []
  if (!name || !oidc?.client) return ''
  const { redirectUris, postLogoutRedirectUris } = oidc.client
  const permitted = name === 'redirect_uri' ? redirectUris : postLogoutRedirectUris
  const items = permitted.map((uri) => `<li><code>${escape(uri)}</code></li>`).join('')
  const used = `<code>${escape(oidc.params?.[name] ?? '')}</code>`
  return `<p>The request has ${used}. This client may use:</p><ul>${items}</ul>`
}
