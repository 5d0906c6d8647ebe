// `media()` beside other code of a service worker, and beside `escrow()`.
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { booted, call, signIn } from '../support/app.mjs'
import { leftOut } from '../support/combinations.mjs'
import { stopServiceWorkers } from '../support/escrow.mjs'
import { openAnother, openGallery, PNG, SERVICE_WORKER, show, startMediaApp } from '../support/media.mjs'

const time = { timeout: 60_000 }
const apps = []
after(() => Promise.all(apps.map((app) => app.close())))

async function start(options) {
  const app = await startMediaApp(options)
  app.files.picture = ['image/png', PNG]
  apps.push(app)
  return app
}

/** A listener that stores each request that it sees, as a careless cache does. */
const STORE = `
addEventListener('fetch', ({ request }) => {
  const { url, method } = request
  new BroadcastChannel('seen').postMessage({ url, method, headers: [...request.headers] })
})
`

/** Records what the service worker's other listener sees while \`act\` runs. */
async function seenDuring(page, act) {
  await page.evaluate(() => {
    globalThis.seen = []
    globalThis.channel = new BroadcastChannel('seen')
    channel.onmessage = ({ data }) => seen.push(data)
  })
  await act()
  // A last request that the listener sees comes after all others.
  return page.evaluate(async () => {
    await fetch('/last').catch(() => {})
    while (!seen.some(({ url }) => url.endsWith('/last')))
      await new Promise((resolve) => setTimeout(resolve, 10))
    return seen
  })
}

// claim: script-43
test('no other listener sees media or requests of the vault', time, async () => {
  const app = await start({ plainFetch: true, kind: 'dedicated', serviceWorker: SERVICE_WORKER + STORE })
  const page = await openGallery(app)
  const seen = await seenDuring(page, async () => {
    await show(page, 'img', { src: '/media/picture' })
    assert.equal((await call(page, `${app.api.url}orders`)).value.status, 200)
    await page.evaluate(() => auth.logout())
    await page.evaluate(() => fetch('/plain').catch(() => {}))
  })
  const of = (part) => seen.filter(({ url }) => url.includes(part)).length
  assert.deepEqual([of('/plain'), of('/media/'), of('/v1/')], [1, 0, 0])
  assert.ok(
    seen.every(
      ({ method, headers }) => method === 'GET' && !headers.some(([name]) => name === 'authorization'),
    ),
  )
})

/** Headers of the escrow's request, and its other marks, as far as a page can set them by its own `fetch`. */
const MARKS = {
  'its header': { headers: { 'strongroom-escrow': 'x' } },
  'its address': { query: '?strongroom-escrow=1' },
  'header, address and mode': {
    headers: { 'strongroom-escrow': 'x' },
    query: '?strongroom-escrow=1',
    mode: 'same-origin',
  },
  'all of them': {
    headers: { 'strongroom-escrow': 'x' },
    query: '?strongroom-escrow=1',
    mode: 'same-origin',
    cache: 'only-if-cached',
  },
}

// claim: script-43
test('no mark of the escrow shows another listener a token', time, async () => {
  const app = await start({ plainFetch: true, serviceWorker: SERVICE_WORKER + STORE })
  const page = await openGallery(app)
  const seen = await seenDuring(page, () =>
    page.evaluate(async (marks) => {
      for (const { query = '', headers, ...init } of marks)
        await fetch(`/plain${query}`, {
          ...init,
          headers: { ...headers, Authorization: 'Bearer token' },
        }).catch(() => {})
    }, Object.values(MARKS)),
  )
  assert.deepEqual(
    seen.map(({ url }) => new URL(url).pathname),
    ['/last'],
  )
})

/** Records what the other listener sees of a login that begins while the service worker is stopped. */
async function seenInLogin(serviceWorker) {
  const app = await start({ plainFetch: true, kind: 'dedicated', serviceWorker })
  const page = await openGallery(app)
  const listening = await app.open('/empty', page.context())
  const seen = await seenDuring(listening, async () => {
    await page.evaluate(() => auth.logout())
    await page.goto(`${app.site.origin}/?again`)
    await booted(page)
    await stopServiceWorkers(page)
    await signIn(page)
  })
  const { origin } = new URL(app.config.issuer)
  return seen.filter(({ url }) => url.startsWith(origin)).map(({ url }) => new URL(url).pathname)
}

leftOut(
  // claim: script-43
  'no other listener sees requests for metadata, keys and tokens, also after a restart',
  time,
  async () => {
    assert.deepEqual(await seenInLogin(SERVICE_WORKER + STORE), [])
  },
)

// claim: script-43
test('a control: a listener that is first sees requests for metadata, keys and tokens', time, async () => {
  const seen = await seenInLogin(SERVICE_WORKER.replace('media(', `${STORE}media(`))
  for (const path of ['/.well-known/openid-configuration', '/jwks', '/token'])
    assert.ok(seen.includes(path), `${seen}`)
})

// claim: script-43
test('a control: a listener that is first sees the token', time, async () => {
  const serviceWorker = SERVICE_WORKER.replace('media(', `${STORE}media(`)
  const app = await start({ plainFetch: true, kind: 'dedicated', serviceWorker })
  const page = await openGallery(app)
  const seen = await seenDuring(page, () => call(page, `${app.api.url}orders`))
  assert.ok(seen.some(({ headers }) => headers.some(([name]) => name === 'authorization')))
})

for (const [name, calls] of Object.entries({
  'media() first': ["media('/media/')", "escrow('/auth.worker.js')"],
  'escrow() first': ["escrow('/auth.worker.js')", "media('/media/')"],
  'media() with the file first': ["media('/media/', '/auth.worker.js')", "escrow('/auth.worker.js')"],
})) {
  leftOut(`a session outlives a reload, and pictures load: ${name}`, time, async () => {
    const app = await start({
      config: { session: { persist: 'escrow' } },
      serviceWorker: `import { escrow } from '/strongroom/escrow.js'\n${SERVICE_WORKER.replace("media('/media/')", calls.join('\n'))}`,
    })
    const page = await openGallery(app)
    await page.goto(`${app.site.origin}/?again`)
    await booted(page)
    assert.equal(await page.evaluate(() => auth.resumed), 'escrow')
    assert.equal(await show(page, 'img', { src: '/media/picture' }), 'load')
  })
}

// claim: callback-9
test('no callback page without a service worker is claimed, and the page says why', time, async () => {
  const call = "media('/media/', undefined, ['/callback', '/mcp/callback'])"
  const app = await start({
    plainFetch: true,
    serviceWorker: SERVICE_WORKER.replace("media('/media/')", call),
  })
  for (const path of ['/callback', '/mcp/callback']) {
    app.site.routes[path] = '/empty.html'
    await isNotClaimed(app, path)
  }
})

const isNotClaimed = async (app, path) => {
  const callback = await app.open(`${path}?code=a`)
  const page = await app.open('/empty', callback.context())
  const isControlled = (of) => of.evaluate(() => !!navigator.serviceWorker.controller)
  const reply = await page.evaluate(async () => {
    await navigator.serviceWorker.register('/sw.js', { type: 'module' })
    const { active } = await navigator.serviceWorker.ready
    const { port1, port2 } = new MessageChannel()
    active.postMessage({ t: 'strongroom media', claim: true }, [port2])
    return new Promise((resolve) => (port1.onmessage = ({ data }) => resolve(data)))
  })
  assert.match(reply, /a callback page is open/)
  assert.deepEqual([await isControlled(page), await isControlled(callback)], [false, false])
  // The page asks again when the callback page has gone.
  const isReady = page.evaluate(() => createAuth({ shared: create.shared }).media())
  await callback.close()
  assert.equal(await isReady, true)
  assert.equal(await isControlled(page), true)
  await page.context().close()
}

leftOut('callback pages that are not an array of paths are refused', time, async () => {
  const app = await start({ plainFetch: true })
  for (const callbacks of ["'/callback'", "['callback']", "['/callback', '/a?b']"]) {
    const call = `media('/media/', undefined, ${callbacks})`
    app.site.files['/sw.js'] = SERVICE_WORKER.replace("media('/media/')", call)
    const page = await app.open('/empty')
    const registered = page.evaluate(() => navigator.serviceWorker.register('/sw.js', { type: 'module' }))
    await assert.rejects(registered, /ServiceWorker script evaluation failed|threw an exception/, callbacks)
    await page.context().close()
  }
})

leftOut('a page with createAuth() shows pictures before it has used it', time, async () => {
  const app = await start()
  const page = await openAnother(app, await openGallery(app))
  await page.goto(`${app.site.origin}/empty`)
  await page.evaluate(() => {
    globalThis.lazy = createAuth({ shared: create.shared })
  })
  // At the second picture, the client listens, too.
  for (const n of [1, 2]) assert.equal(await show(page, 'img', { src: `/media/picture?${n}` }), 'load')
  await page.evaluate(() => lazy.close())
})
