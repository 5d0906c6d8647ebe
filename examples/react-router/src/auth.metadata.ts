// Written by `npx strongroom metadata`.
import type { PinnedMetadata } from 'strongroom/worker'

export const metadata: Record<string, PinnedMetadata> = {
  'http://127.0.0.1:4401': {
    at: '2026-11-28',
    issuer: 'http://127.0.0.1:4401',
    authorization_endpoint: 'http://127.0.0.1:4401/auth',
    token_endpoint: 'http://127.0.0.1:4401/token',
    jwks_uri: 'http://127.0.0.1:4401/jwks',
    authorization_response_iss_parameter_supported: true,
    code_challenge_methods_supported: ['S256'],
    end_session_endpoint: 'http://127.0.0.1:4401/session/end',
    pushed_authorization_request_endpoint: 'http://127.0.0.1:4401/request',
    revocation_endpoint: 'http://127.0.0.1:4401/token/revocation',
    userinfo_endpoint: 'http://127.0.0.1:4401/me',
  },
}
