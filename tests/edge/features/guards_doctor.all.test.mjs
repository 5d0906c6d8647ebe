// `strongroom doctor --site`: the doctor in place of a site behind nginx, with the file of docs/oauth2-proxy.md, and with one
// line of it changed.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startGuardedSite } from '../../support/edge/guarded.mjs'
import { Visitor } from '../../support/edge/visitor.mjs'
import { configFile, doctor } from '../../support/doctor.mjs'
import { freePort } from '../../support/listen.mjs'

const time = { timeout: 60_000 }

/** Looks at a guarded site whose file of nginx has these changes. With `isSignedIn`, the doctor has a user's cookies. */
async function look(t, changes, { isSignedIn = true } = {}) {
  const site = await startGuardedSite('nginx', { handler: (request, response) => response.end(), changes })
  t.after(site.close)
  if (isSignedIn) {
    const visitor = new Visitor({ origin: site.origin, urls: [site.url] })
    await visitor.signIn()
    process.env.STRONGROOM_COOKIE = [...visitor.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  }
  t.after(() => delete process.env.STRONGROOM_COOKIE)
  const config = await configFile(site.config)
  return doctor(site.origin, '--config', config, '--site', `127.0.0.1:${await site.leave()}`)
}

test('the documented file has no fault', time, async (t) => {
  const { by } = await look(t)
  for (const id of ['site.strangers', 'site.checks', 'site.headers', 'site.elsewhere'])
    assert.equal(by[id].result, 'ok', `${id}: ${by[id].text} ${by[id].seen}`)
})

test('without a cookie, the headers of the site are unknown', time, async (t) => {
  const { by } = await look(t, {}, { isSignedIn: false })
  assert.equal(by['site.strangers'].result, 'ok')
  assert.equal(by['site.headers'].result, 'unseen')
})

test('requests that arrive elsewhere prove nothing', time, async (t) => {
  const site = await startGuardedSite('nginx', {
    handler: (request, response) => response.end(),
    changes: { 'auth_request /.strongroom-check;': '' },
  })
  t.after(site.close)
  const config = await configFile(site.config)
  const { by } = await doctor(site.origin, '--config', config, '--site', `${await freePort()}`)
  assert.equal(by['site.strangers'].result, 'unseen')
})

test('a proxy that does not respond proves nothing', time, async () => {
  const config = await configFile({ origin: 'https://app.example.com' })
  const { by } = await doctor(
    `http://localhost:${await freePort()}`,
    '--config',
    config,
    '--site',
    `${await freePort()}`,
  )
  for (const id of ['site.strangers', 'site.checks']) assert.equal(by[id].result, 'unseen', id)
})

test('the cookie is sent to no other origin', time, async (t) => {
  process.env.STRONGROOM_COOKIE = 'a=1'
  t.after(() => delete process.env.STRONGROOM_COOKIE)
  const config = await configFile({ origin: 'https://app.example.com' })
  const looking = doctor('http://localhost:1', '--config', config, '--site', `${await freePort()}`)
  await assert.rejects(looking, /STRONGROOM_COOKIE is not sent/)
})

for (const [what, id, seen, changes] of [
  [
    'nothing asks the handler',
    'site.strangers',
    /GET request of a script/,
    { 'auth_request /.strongroom-check;': '' },
  ],
  [
    'the header of a client stays',
    'site.headers',
    /x-user is what the client sent/,
    { 'proxy_set_header X-User $site_user;': '' },
  ],
  [
    'the cookies of a client stay',
    'site.headers',
    /the handler's cookies/,
    { 'proxy_set_header Cookie $site_cookie;': '' },
  ],
  [
    'the site gets no token',
    'site.headers',
    /no access token/,
    {
      'proxy_set_header Authorization $site_authorization;': 'proxy_set_header Authorization "";',
    },
  ],
  [
    'headers of the browser do not reach the check',
    'site.elsewhere',
    /of another site/,
    {
      'proxy_set_header X-Forwarded-Method $request_method;':
        'proxy_set_header X-Forwarded-Method GET; proxy_set_header Sec-Fetch-Site same-origin; proxy_set_header Origin "";',
    },
  ],
  [
    'a check is published',
    'site.checks',
    /\.strongroom-check, with Authorization/,
    { 'internal;': 'auth_request off;', 'proxy_hide_header Authorization;': '' },
  ],
]) {
  test(`fault: ${what}`, time, async (t) => {
    const { by } = await look(t, changes)
    assert.equal(by[id].result, 'fault', `${by[id].text}`)
    assert.match(by[id].seen, seen)
  })
}
