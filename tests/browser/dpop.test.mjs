/** Tests of DPoP (RFC 9449) with a certified provider and an API that verifies each proof with jose. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startApi } from '../support/api.mjs'
import { booted, call, signIn, startApp } from '../support/app.mjs'
import { collect, record, search } from '../support/leak.mjs'
import { AUDIENCE } from '../support/servers.mjs'

const time = { timeout: 120_000 }

let app
let other

before(async () => {
  // A dedicated worker ends with its page, so a session that survives a reload was stored.
  app = await startApp({
    kind: 'dedicated',
    config: { dpop: true, session: { persist: 'sealed' } },
    provider: { dpop: 'nonce' },
    api: { dpop: true },
  })
  other = await startApi({
    issuer: app.provider.issuer,
    audience: AUDIENCE,
    allowedOrigins: [app.site.origin],
    dpop: true,
  })
  app.site.connectSrc.push(other.origin)
  app.setConfig({ apis: [...app.config.apis, { url: other.url }] })
}, time)

after(async () => {
  await app?.close()
  await other?.close()
})

const orders = (api = app.api) => `${api.url}orders`
const status = async (page, url = orders()) => (await call(page, url)).value?.status

async function signedIn() {
  const page = await app.open()
  for (const api of [app.api, other]) {
    api.clear()
    Object.assign(api.dpop, { nonce: null, proofs: [] })
  }
  app.provider.proofs.length = 0
  await signIn(page)
  return page
}

test('a body is sent again with the required nonce', time, async () => {
  const page = await signedIn()
  app.api.dpop.nonce = 'for-a-body'
  const { value } = await call(page, orders(), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ item: 'rope', quantity: 1 }),
  })
  assert.equal(value?.status, 201)
  assert.equal(app.api.requests.length, 2)
})

test('the proof contains the URL as sent', time, async () => {
  const page = await signedIn()
  const url = `${app.api.url}orders?q=%7e%2F#x`
  assert.equal(await status(page, url), 200)
  const [{ htu }] = app.api.dpop.proofs
  assert.equal(htu, orders())
})

// claim: network-6
test('a control: the API refuses missing and repeated proofs', time, async () => {
  const page = await signedIn()
  assert.equal(await status(page), 200)
  const { headers } = app.api.requests[0]
  const send = async (changed) => {
    const sent = { authorization: headers.authorization, dpop: headers.dpop, ...changed }
    return (await fetch(orders(), { headers: sent })).status
  }
  const bearer = headers.authorization.replace('DPoP', 'Bearer')
  assert.deepEqual(
    [await send({}), await send({ dpop: '' }), await send({ authorization: bearer })],
    [401, 401, 401],
  )
})

// claim: script-1, script-20
test('no proof, no token and no private key is in the page', time, async () => {
  const context = await app.browser.newContext()
  const log = await record(context)
  const page = await app.open('/', context)
  await signIn(page)
  assert.equal(await status(page), 200)
  assert.equal(await status(page, orders(other)), 200)
  const proofs = [
    ...app.provider.proofs,
    ...[app.api, other].flatMap(({ dpop }) => dpop.proofs.map(({ proof }) => proof)),
  ]
  assert.ok(proofs.length >= 3)
  // The header is public and the same in all proofs. The remaining parts are different in each proof.
  const secrets = proofs.map((proof) => ({ kind: 'proof', value: proof.slice(proof.indexOf('.') + 1) }))
  const places = await collect(page, log)
  assert.deepEqual(search(places, [...secrets, ...app.ledger.secrets()]).filter(isNoCallback), [])
  // Control experiment: the same search finds a planted proof.
  const planted = search({ ...places, dom: [`<p>${proofs[0]}</p>`] }, secrets)
  assert.ok(planted.some(({ place }) => place === 'dom'))
  // The private key is in the store, where script can use it but cannot read it, as docs/session-storage.md says.
  assert.deepEqual(await page.evaluate(keysInStore), [{ type: 'private', extractable: false }])
})

/** Returns false for authorization codes, which the callback's URL contains. */
const isNoCallback = ({ kind }) => kind !== 'authorization_code'

const keysInStore = () =>
  new Promise((resolve) => {
    const opening = indexedDB.open('strongroom')
    opening.onsuccess = () => {
      const records = opening.result.transaction('logins').objectStore('logins').getAll()
      records.onsuccess = () => {
        opening.result.close()
        const keys = records.result.map(({ dpop }) => dpop).filter(Boolean)
        resolve(keys.map(({ type, extractable }) => ({ type, extractable })))
      }
    }
  })

test('a session whose key was deleted ends with a reason', time, async () => {
  const page = await signedIn()
  await page.evaluate(
    () =>
      new Promise((resolve) => {
        const opening = indexedDB.open('strongroom')
        opening.onsuccess = () => {
          const transaction = opening.result.transaction('logins', 'readwrite')
          const logins = transaction.objectStore('logins')
          logins.openCursor().onsuccess = ({ target: { result: cursor } }) => {
            if (!cursor) return
            const { dpop: _, ...rest } = cursor.value
            cursor.update(rest)
            cursor.continue()
          }
          transaction.oncomplete = () => resolve(opening.result.close())
        }
      }),
  )
  await page.goto('about:blank')
  await page.goto(`${app.site.origin}/`)
  await booted(page)
  const [session, reason] = await page.evaluate(() => [auth.session, auth.endReason])
  assert.deepEqual([session, reason], [null, 'storage_lost'])
})

// claim: script-20
test('a key that page script plants in the store is useless', time, async () => {
  const page = await signedIn()
  await page.evaluate(async () => {
    const usages = ['sign', 'verify']
    const { privateKey } = await crypto.subtle.generateKey(
      { name: 'ECDSA', namedCurve: 'P-256' },
      true,
      usages,
    )
    await new Promise((resolve) => {
      const opening = indexedDB.open('strongroom')
      opening.onsuccess = () => {
        const transaction = opening.result.transaction('logins', 'readwrite')
        transaction.objectStore('logins').openCursor().onsuccess = ({ target: { result: cursor } }) => {
          if (!cursor) return
          if (cursor.value.dpop) cursor.update({ ...cursor.value, dpop: privateKey })
          cursor.continue()
        }
        transaction.oncomplete = () => resolve(opening.result.close())
      }
    })
  })
  await page.goto('about:blank')
  await page.goto(`${app.site.origin}/`)
  await booted(page)
  // The store contains the session with the planted key.
  assert.deepEqual(await page.evaluate(keysInStore), [{ type: 'private', extractable: true }])
  assert.equal(await page.evaluate(() => auth.session.claims.sub), 'alice')
  assert.notEqual(await status(page), 200)
})
