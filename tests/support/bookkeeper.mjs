import { decodeJwt } from 'jose'

/** Observes the requests and responses of oidc-provider, and records them in the ledger. */
export class Bookkeeper {
  #ledger
  /** The ID of each family's grant. A family is one login and the refreshes that follow. */
  #grants = new Map()

  /** @param {import('./ledger.mjs').Ledger} ledger */
  constructor(ledger) {
    this.#ledger = ledger
  }

  /** @param {import('oidc-provider').Provider} provider */
  follow(provider) {
    provider.on('grant.revoked', (ctx, grantId) => this.#revoked(grantId, ctx.oidc.route))
    provider.on('end_session.success', (ctx) => {
      const account = ctx.oidc.entities.Session?.accountId ?? null
      this.#ledger.record({ type: 'sign_out', at: Date.now(), account })
    })
  }

  /**
   * Records one request after the provider has handled it.
   *
   * @param {{ at: number, endpoint?: string, fault: string | null, form?: object }} request
   */
  enter(ctx, request) {
    if (ctx.method === 'OPTIONS') return
    const form = request.form ?? ctx.oidc?.body ?? {}
    if (request.endpoint === 'token') this.#token(ctx, request, form)
    else if (request.endpoint === 'revocation') this.#revocation(ctx, request, form)
    else if (ctx.path === '/auth') this.#authorization(ctx, request)
    if (ctx.path.startsWith('/auth')) this.#code(ctx)
  }

  #authorization(ctx, { at }) {
    // The parameters of a pushed request are not in the query, so oidc-provider's own list is used.
    const named = Object.entries(ctx.oidc?.params ?? ctx.query).filter(([, value]) => value !== undefined)
    const parameters = Object.fromEntries(named)
    this.#ledger.record({ type: 'authorization_request', at, parameters, query: { ...ctx.query } })
  }

  #code(ctx) {
    const location = URL.parse(ctx.response.get('Location'))
    const inFragment = new URLSearchParams(location?.hash.slice(1))
    const value = location?.searchParams.get('code') ?? inFragment.get('code')
    if (value) this.#issue({ kind: 'authorization_code', value, expiresAt: Date.now() + 60_000 })
  }

  #token(ctx, { at, fault }, form) {
    const presented = this.#ledger.find(form.refresh_token ?? form.code)
    const reached = fault !== 'dropped' && fault !== 'answered'
    const answer = reached ? ctx.body : {}
    const issued = Boolean(answer?.access_token)
    const family = presented?.family ?? (issued ? this.#begin(ctx, presented) : null)
    const before = this.#ledger.generation(family)
    const generation = issued && answer.refresh_token !== form.refresh_token ? before + 1 : before
    this.#ledger.record({
      type: 'token_request',
      at,
      endedAt: Date.now(),
      grant: form.grant_type ?? '',
      family,
      presented: presented?.kind === 'refresh_token' ? presented.generation : null,
      issued: issued ? generation : null,
      outcome: issued ? 'issued' : (answer?.error ?? 'none'),
      status: fault === 'dropped' ? 0 : ctx.status,
      fault,
      codeVerifier: form.code_verifier ?? null,
      origin: ctx.get('Origin') || null,
    })
    if (issued) this.#issueAll(ctx, answer, { grant: form.grant_type, family, generation })
  }

  #begin(ctx, code) {
    const family = this.#ledger.families() + 1
    this.#grants.set(family, ctx.oidc.entities.Grant?.jti)
    if (code) code.family = family
    return family
  }

  #issueAll(ctx, answer, origin) {
    const expiry = (jwt) => decodeJwt(jwt).exp * 1000
    const { access_token: access, refresh_token: refresh, id_token: id } = answer
    const clientExpiresAt = Date.now() + answer.expires_in * 1000
    this.#issue({
      ...origin,
      kind: 'access_token',
      value: access,
      expiresAt: expiry(access),
      clientExpiresAt,
    })
    if (id) this.#issue({ ...origin, kind: 'id_token', value: id, expiresAt: expiry(id) })
    if (refresh) {
      const expiresAt = Date.now() + ctx.oidc.entities.RefreshToken.expiration * 1000
      this.#issue({ ...origin, kind: 'refresh_token', value: refresh, expiresAt })
    }
  }

  #issue(token) {
    if (this.#ledger.find(token.value)) return
    const none = { grant: null, family: null, generation: null }
    this.#ledger.record({ type: 'token', at: Date.now(), ...none, ...token })
  }

  #revocation(ctx, { at }, form) {
    const token = this.#ledger.find(form.token)
    const { kind = null, family = null } = token ?? {}
    this.#ledger.record({ type: 'revocation', at, kind, family, status: ctx.status })
  }

  #revoked(grantId, by) {
    for (const [family, grant] of this.#grants) {
      if (grant === grantId && !this.#ledger.familyRevoked(family)) {
        this.#ledger.record({ type: 'family_revoked', at: Date.now(), family, by })
      }
    }
  }
}
