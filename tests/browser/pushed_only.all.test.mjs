// Tests with a provider that accepts only pushed requests (RFC 9126 section 5), and with tabs that each have their own
// vault.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { signInByPopup, startApp } from '../support/app.mjs'

const time = { timeout: 60_000 }

let app

before(async () => {
  app = await startApp({ kind: 'dedicated', config: { par: true }, provider: { wantsPushed: true } })
})
after(() => app?.close())

test('a popup of a dedicated worker: its response reaches its opener', time, async () => {
  const page = await app.open()
  const { value } = await signInByPopup(page)
  assert.equal(value.claims.sub, 'alice')
})

test('the control: a request that is not pushed is refused', time, async () => {
  const request = new URL(`${app.provider.issuer}/auth`)
  request.search = new URLSearchParams({
    client_id: app.clientId,
    response_type: 'code',
    redirect_uri: `${app.site.origin}/callback`,
    scope: 'openid',
    code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
    code_challenge_method: 'S256',
  })
  const answer = await fetch(request, { redirect: 'manual' })
  const said = answer.headers.get('location') ?? (await answer.text())
  assert.match(said, /invalid_request/)
})
