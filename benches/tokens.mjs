/** Tokens for measuring how fast they are parsed. The tokens have invented values and a realistic structure. */
import { randomBytes } from 'node:crypto'

const base64url = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')

/** A string with the length of an RS256 signature: 2048 bits. No bench checks the signature. */
const SIGNATURE = randomBytes(256).toString('base64url')

const ISSUED_AT = 1_760_000_000

/** The claims that RFC 9068 requires in an access token. */
const CLAIMS = {
  iss: 'https://id.example.com/',
  sub: 'auth|5f7c8ec7c33c6c004bbafe82',
  aud: 'https://api.example.com/v1/',
  iat: ISSUED_AT,
  exp: ISSUED_AT + 3600,
  jti: '0b7d1f5e-4f0c-4b6a',
  client_id: 'spa',
  scope: 'openid profile offline_access',
}

/** Typical content of larger tokens. */
const permissions = ['orders', 'invoices', 'customers', 'shipments', 'products', 'reports'].flatMap((name) =>
  ['read', 'list', 'create', 'update', 'delete', 'export', 'approve', 'comment', 'archive'].map(
    (action) => `${name}:${action}:any`,
  ),
)

const GENEROUS = {
  ...CLAIMS,
  permissions,
  name: 'Zoë Ångström',
  email: 'zoe@example.com',
  groups: ['1c9e5a52-6a3d-4b0c-9a51-0b6ad7f3c1de', 'd8b0f8f4-9a77-4f4e-8f1b-6a0a5a2f9f10'],
}

const compact = (claims) =>
  [base64url({ alg: 'RS256', typ: 'at+jwt', kid: '2026-11-key' }), base64url(claims), SIGNATURE].join('.')

export const TOKENS = [compact(CLAIMS), compact(GENEROUS)]
