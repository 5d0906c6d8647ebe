/**
 * The plans of the suite, the client that runs each, and the expected results. A module that is not listed is expected
 * to be PASSED; every other expectation has a reason.
 */
import { generateKeyPairSync } from 'node:crypto'

/**
 * @typedef {object} Plan
 * @property {string} title The plan's name in tables.
 * @property {'vault' | 'handler'} client
 * @property {string} plan The suite's name.
 * @property {Record<string, string>} variant
 * @property {{ suite?: object, client?: object }} [configuration] More members of the suite's configuration.
 * @property {object} [auth] The token handler's authentication. Default: `client_secret_basic`.
 * @property {string} [scope] Default: `openid profile email`.
 * @property {object} [options] More options of the vault or the token handler.
 * @property {{ folder: string, name: string }} [resource] The API below the issuer, if it is not UserInfo.
 * @property {boolean} [https] True if the app needs https.
 * @property {Record<string, [result: string, reason: string]>} [expected]
 * @property {Record<string, string>} [left] The modules that are not run, with the reason.
 */

const PREFIX = /^(oidcc-client-test|fapi2-security-profile-final-client(-test)?)-?/

/** Returns the short name of a module, which is the part that differs from the other modules of its plan. */
export const shortName = (module) => module.replace(PREFIX, '') || 'client-test'

/** The modules in which the client must refuse the login. */
const REFUSED =
  /^(invalid-|missing-|nonce-invalid|idtoken-sig-none|kid-absent-multiple-jwks|discovery-issuer-mismatch|userinfo-(invalid-sub|signed)|remove-authorization-response-iss|ensure-authorization-response-with-invalid-)/

/** The modules in which a refresh ends the session. */
const ENDED = /^refresh-token-invalid-/

/** Returns what to do in a module besides one login, and if there is a session at its end. */
export function stepsOf(module) {
  const name = shortName(module)
  const isBackChannel = name.startsWith('rp-backchannel-')
  const steps = {
    /** The metadata are the end, so the browser must not reach the authorization endpoint. */
    stopsBeforeLogin: name === 'discovery-openid-config',
    /** The keys are the end, so there must be no UserInfo request. */
    userInfo: name !== 'discovery-jwks-uri-keys',
    logins: name === 'signing-key-rotation' ? 2 : 1,
    refresh: name.startsWith('refresh-token'),
    /** The user logs out in the app, or at the provider, whose logout token then finds a session. */
    logout: isBackChannel ? 'provider' : name.includes('logout') ? 'app' : undefined,
    /** Another site begins the login. */
    elsewhere: name === '3rd-party-init-login',
  }
  const endsSignedIn = isBackChannel
    ? name !== 'rp-backchannel-rpinitlogout'
    : !(steps.stopsBeforeLogin || steps.logout || REFUSED.test(name) || ENDED.test(name))
  return { ...steps, endsSignedIn }
}

/** The client's secret. */
export const CLIENT_SECRET = 'a-secret-of-more-than-thirty-two-characters-0123456789'

const STATIC = { request_type: 'plain_http_request', client_registration: 'static_client' }
const PUBLIC = { ...STATIC, client_auth_type: 'none', response_type: 'code', response_mode: 'default' }
const SECRET = { ...PUBLIC, client_auth_type: 'client_secret_basic' }

/** Returns a variant for plans that set the response type themselves. */
const withoutType = ({ response_type: _, ...rest }) => rest

const NONE = {
  'idtoken-sig-none': ['SKIPPED', 'an ID token without a signature is refused, as the suite allows'],
}

const NO_STATE = ['SKIPPED', 'the logout request has no `state`, which is optional']
const LOGOUTS = { 'rp-init-logout-other-state': NO_STATE, 'rp-init-logout-no-state': NO_STATE }
/** The plan demands an address for front-channel logout of a client without back-channel logout. */
const VAULT_LOGOUTS = {
  ...LOGOUTS,
  'rp-init-logout': [
    'REVIEW',
    'nothing failed; a person should look at front-channel logout, which a vault lacks',
  ],
}

const LEFT = {
  'userinfo-bearer-body': 'the access token is sent in the header only',
  'distributed-claims': 'distributed claims are ignored',
  'discovery-webfinger-acct': 'the issuer is configured, not discovered from an account',
  'discovery-webfinger-url': 'the issuer is configured, not discovered from a URL',
  'invalid-sig-hs256': 'ID tokens signed with the client secret are not supported',
}

/** The modules that a client with another authentication than `client_secret_basic` does not run. */
const leftWith = (reason) => ({ ...LEFT, 'client-secret-basic': reason })
const OTHER_METHOD = leftWith('the client authenticates with another method')

const CONFIG = 'oidcc-client-config-certification-test-plan'
const COMPREHENSIVE = 'oidcc-client-test-plan'
const REFRESH = 'oidcc-client-refreshtoken-test-plan'
const LOGOUT = 'oidcc-client-rp-initiated-logout-rp-basic'

/** Returns a new private key as a JWK. */
function newKey(kid) {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  return { ...privateKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'PS256' }
}
const publicPart = ({ kty, n, e, kid, use, alg }) => ({ kty, n, e, kid, use, alg })
const clientKey = newKey('client')
/** A client that authenticates with its key. */
const withKey = { client_secret: undefined, jwks: { keys: [publicPart(clientKey)] } }
const KEY = { method: 'private_key_jwt', key: clientKey }

const FAPI = {
  client: 'handler',
  plan: 'fapi2-security-profile-final-client-test-plan',
  configuration: { suite: { server: { jwks: { keys: [newKey('server')] } } }, client: withKey },
  auth: KEY,
  resource: { folder: 'open-banking/v1.1/', name: 'accounts' },
}
const FAPI_VARIANT = {
  sender_constrain: 'dpop',
  client_auth_type: 'private_key_jwt',
  fapi_profile: 'plain_fapi',
}

/** @type {Plan[]} */
export const PLANS = [
  {
    title: 'Basic Certification Profile',
    client: 'handler',
    plan: 'oidcc-client-basic-certification-test-plan',
    variant: STATIC,
    expected: NONE,
  },
  ...['vault', 'handler'].flatMap((client) => {
    const variant = client === 'vault' ? PUBLIC : SECRET
    return [
      {
        title: 'Configuration Certification Profile',
        client,
        plan: CONFIG,
        variant: withoutType(variant),
        expected: NONE,
      },
      {
        title: 'comprehensive client test',
        client,
        plan: COMPREHENSIVE,
        variant,
        expected: NONE,
        left: client === 'vault' ? leftWith('a vault is a public client') : LEFT,
      },
      { title: 'refresh tokens', client, plan: REFRESH, variant },
      {
        title: 'RP-Initiated Logout',
        client,
        plan: LOGOUT,
        variant: withoutType(variant),
        expected: client === 'vault' ? VAULT_LOGOUTS : LOGOUTS,
      },
    ]
  }),
  {
    title: 'comprehensive client test, `client_secret_post`',
    client: 'handler',
    plan: COMPREHENSIVE,
    variant: { ...PUBLIC, client_auth_type: 'client_secret_post' },
    auth: { method: 'client_secret_post', secret: CLIENT_SECRET },
    expected: NONE,
    left: OTHER_METHOD,
  },
  {
    title: 'comprehensive client test, `private_key_jwt`',
    client: 'handler',
    plan: COMPREHENSIVE,
    variant: { ...PUBLIC, client_auth_type: 'private_key_jwt' },
    configuration: { client: withKey },
    auth: KEY,
    expected: NONE,
    left: OTHER_METHOD,
  },
  {
    title: 'Back-Channel Logout',
    client: 'handler',
    plan: 'oidcc-client-back-channel-logout-rp-basic',
    variant: withoutType(SECRET),
  },
  {
    title: 'third-party-initiated login',
    client: 'vault',
    plan: 'oidcc-client-test-3rd-party-init-login-test-plan',
    variant: PUBLIC,
    https: true,
  },
  {
    title: 'third-party-initiated login',
    client: 'handler',
    plan: 'oidcc-client-test-3rd-party-init-login-test-plan',
    variant: SECRET,
    https: true,
  },
  {
    ...FAPI,
    title: 'FAPI 2.0 Security Profile, DPoP, `private_key_jwt`',
    variant: { ...FAPI_VARIANT, fapi_client_type: 'oidc' },
    scope: 'openid accounts',
    options: { dpop: true },
  },
  {
    ...FAPI,
    title: 'FAPI 2.0 Security Profile, DPoP, `private_key_jwt`, without OpenID Connect',
    variant: { ...FAPI_VARIANT, fapi_client_type: 'plain_oauth' },
    scope: 'accounts',
    options: { dpop: true, identity: 'none' },
  },
]
