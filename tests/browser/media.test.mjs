// The option `media` of a rule: elements load files of an API by their addresses, with a token that no script sees.
// capabilities/media.mjs of the engines has what they load.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { brotliCompressSync, createBrotliCompress } from 'node:zlib'
import { booted, startApp, waitUntil } from '../support/app.mjs'
import { leftOut } from '../support/combinations.mjs'
import { stopServiceWorkers } from '../support/escrow.mjs'
import { openAnother, openGallery, PNG, sendFilm, show, silence, startMediaApp } from '../support/media.mjs'
import { until } from '../support/until.mjs'

const time = { timeout: 60_000 }

let app
before(async () => {
  app = await startMediaApp()
  app.files.picture = ['image/png', PNG]
  app.files.film = (exchange) => sendFilm({ ...exchange, seconds: 250_000 })
})
after(() => app.close())

/** The requests for files that arrived at the API. */
const loads = () => app.api.requests.filter(({ path }) => path.startsWith('/v1/on/files/'))

leftOut('the element gets only headers that it needs', time, async () => {
  const page = await openGallery(app)
  app.files.chatty = ({ response }) => {
    response.setHeader('Access-Control-Expose-Headers', 'ETag, Last-Modified, X-Secret, Content-Language')
    response.writeHead(200, {
      'Content-Type': 'image/png',
      'Content-Length': PNG.length,
      'Content-Language': 'en',
      'X-Secret': '1',
      ETag: '"1"',
      'Cache-Control': 'public, max-age=60',
    })
    response.end(PNG)
  }
  const [response] = await Promise.all([
    page.waitForResponse(/\/media\//),
    show(page, 'img', { src: '/media/chatty' }),
  ])
  assert.deepEqual(await response.allHeaders(), {
    'cache-control': 'no-store',
    'content-length': `${PNG.length}`,
    'content-security-policy': "sandbox; default-src 'none'",
    'content-type': 'image/png',
    'cross-origin-resource-policy': 'same-origin',
    etag: '"1"',
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
  })
})

leftOut('a response of another type is refused, and its connection ends', time, async () => {
  const page = await openGallery(app)
  app.api.clear()
  for (const [name, attributes] of [
    ['img', { src: '/media/film' }],
    ['video', { src: '/media/picture' }],
  ]) {
    const [response, event] = await Promise.all([
      page.waitForResponse(/\/media\//),
      show(page, name, attributes),
    ])
    assert.equal(event, 'error')
    assert.equal(response.status(), 502)
  }
  const [film] = loads()
  await film.closed
  assert.equal(film.aborted, true)
})

leftOut('without a session the response is 502, and names the reason', time, async () => {
  const page = await openGallery(app)
  await page.evaluate(() => auth.logout())
  const [response] = await Promise.all([
    page.waitForResponse(/\/media\//),
    show(page, 'img', { src: '/media/picture' }),
  ])
  assert.equal(response.status(), 502)
  assert.match(await response.text(), /login_required/)
})

leftOut('a hidden range is an error of its own, and one warning', time, async () => {
  const page = await openGallery(app)
  const warnings = []
  page.on('console', (message) => message.type() === 'warning' && warnings.push(message.text()))
  app.files.hidden = (exchange) => sendFilm({ ...exchange, seconds: 10, exposed: false })
  for (let n = 0; n < 2; n++) {
    const [response] = await Promise.all([
      page.waitForResponse(/\/media\//),
      show(page, 'video', { src: `/media/hidden?${n}` }),
    ])
    assert.equal(response.status(), 502)
  }
  await until(() => warnings.length)
  const told = warnings.filter((text) => /range_hidden.*Access-Control-Expose-Headers/.test(text))
  assert.equal(told.length, 1, `${warnings}`)
})

/** Begins to send a long sound, and never ends. */
const sendLong = ({ response }) => {
  response.writeHead(200, { 'Content-Type': 'audio/wav' })
  response.write(silence(250_000, 0, 4 * 1024 * 1024))
}

leftOut('the connection to the API ends when the service worker is stopped', time, async () => {
  const page = await openGallery(app)
  app.files.endless = sendLong
  app.api.clear()
  await show(page, 'audio', { src: '/media/endless' }, ['loadeddata', 'error'])
  const [load] = loads()
  assert.equal(load.aborted, false)
  await stopServiceWorkers(page)
  await load.closed
  assert.equal(load.aborted, true)
})

leftOut(
  'a body may be longer than its Content-Length, which is that of its compressed form',
  time,
  async () => {
    const page = await openGallery(app)
    const all = brotliCompressSync(Buffer.alloc(1024 * 1024))
    const encoder = createBrotliCompress()
    const first = await new Promise((resolve) => {
      encoder.once('data', resolve)
      encoder.write(Buffer.alloc(512 * 1024))
      encoder.flush()
    })
    app.files.bomb = ({ response }) => {
      response.writeHead(200, {
        'Content-Type': 'image/png',
        'Content-Encoding': 'br',
        'Content-Length': first.length + all.length,
      })
      // The rest is never sent, so a vault that waits for the whole body would not respond.
      response.write(first)
    }
    const responded = page.waitForResponse(/\/media\/bomb/)
    await page.evaluate(() => Object.assign(document.body.appendChild(new Image()), { src: '/media/bomb' }))
    assert.equal((await responded).status(), 200)
    await page.close()
  },
)

test('the connection to the API ends with the page', time, async () => {
  const page = await openGallery(app)
  const other = await openAnother(app, page)
  app.files.endless = ({ response }) => {
    response.writeHead(200, { 'Content-Type': 'image/png' })
    response.write(PNG.subarray(0, 40))
  }
  app.api.clear()
  await page.evaluate(() => Object.assign(document.body.appendChild(new Image()), { src: '/media/endless' }))
  const [endless] = await until(() => loads().length && loads())
  await page.close()
  await endless.closed
  assert.equal(await show(other, 'img', { src: '/media/picture' }), 'load')
})

leftOut('the vault sends a chunk for each that is asked for, and stops when told', time, async () => {
  const page = await openGallery(app)
  app.api.clear()
  await page.evaluate(async () => {
    globalThis.messages = []
    const { port1, port2 } = new MessageChannel()
    globalThis.port = port1
    port.onmessage = ({ data }) => messages.push(data)
    // As the service worker does.
    const source = navigator.serviceWorker.controller
    const data = { t: 'strongroom media', id: 1e6, url: '/media/film', headers: [] }
    navigator.serviceWorker.dispatchEvent(new MessageEvent('message', { data, source, ports: [port2] }))
  })
  /** Asks for a chunk. Resolves with the number of messages when a later call of the vault has its response. */
  const ask = (count) =>
    page.evaluate(
      async ([url, asked]) => {
        if (asked) port.postMessage(1)
        while (messages.length < 1 + asked) await new Promise((resolve) => setTimeout(resolve, 10))
        await auth.fetch(url)
        return messages.length
      },
      [`${app.api.url}orders`, count],
    )
  for (const count of [0, 1, 2]) assert.equal(await ask(count), 1 + count)
  await page.evaluate(() => port.postMessage(null))
  const [film] = loads()
  await film.closed
  assert.equal(film.aborted, true)
})

test('pictures load after the service worker was stopped', time, async () => {
  const page = await openGallery(app)
  for (let n = 0; n < 2; n++) {
    assert.equal(await show(page, 'img', { src: `/media/picture?stopped=${n}` }), 'load')
    await stopServiceWorkers(page)
  }
})

leftOut('a second tab shows pictures when the first is closed', time, async () => {
  const page = await openGallery(app)
  const other = await openAnother(app, page)
  for (const tab of [page, other]) assert.equal(await show(tab, 'img', { src: '/media/picture' }), 'load')
  await page.close()
  assert.equal(await show(other, 'img', { src: '/media/picture?alone' }), 'load')
})

// claim: script-40
test('a script that steals the port gets requests of its own page only', time, async () => {
  const page = await openGallery(app)
  const other = await openAnother(app, page)
  await page.goto(`${app.site.origin}/empty`)
  await page.evaluate(() => {
    globalThis.stolen = []
    navigator.serviceWorker.addEventListener('message', (event) => {
      event.stopImmediatePropagation()
      stolen.push(event.data)
    })
    navigator.serviceWorker.startMessages()
    Object.assign(document.body.appendChild(new Image()), { src: '/media/picture?stolen' })
  })
  await waitUntil(page, () => stolen.length)
  assert.equal(await show(other, 'img', { src: '/media/picture?kept' }), 'load')
  const stolen = await page.evaluate(() => stolen)
  assert.deepEqual(Object.keys(stolen[0]).sort(), ['headers', 'id', 't', 'url'])
  assert.deepEqual(
    stolen.map(({ url }) => url),
    ['/media/picture?stolen'],
  )
  assert.ok(stolen[0].headers.every(([name]) => name === 'accept'))
})

test('a page cannot end the requests of another page', time, async () => {
  const page = await openGallery(app)
  const other = await openAnother(app, page)
  await page.addInitScript(() =>
    navigator.serviceWorker.addEventListener('message', ({ data }) => (globalThis.id = data.id)),
  )
  await page.reload()
  await booted(page)
  let finish
  app.files.late = ({ response }) => {
    finish = () => response.writeHead(200, { 'Content-Type': 'image/png' }).end(PNG)
  }
  const shown = show(page, 'img', { src: '/media/late' })
  await until(() => finish)
  const end = async (tab) =>
    tab.evaluate(
      async (id) => {
        navigator.serviceWorker.controller.postMessage({ t: 'strongroom media', id, error: 'ended' })
        // The service worker has handled all earlier messages when it responds.
        await auth.media()
      },
      await page.evaluate(() => id),
    )
  await end(other)
  finish()
  assert.equal(await shown, 'load')
  finish = undefined
  const control = show(page, 'img', { src: '/media/late?again' })
  await until(() => finish)
  await end(page)
  assert.equal(await control, 'error')
})

leftOut('a thousand pictures of a slow API all load', { timeout: 180_000 }, async () => {
  const page = await openGallery(app)
  const waiting = []
  let isSlow = true
  app.files.slow = ({ response }) => {
    const send = () => {
      response.writeHead(200, { 'Content-Type': 'image/png', 'Content-Length': PNG.length })
      response.end(PNG)
    }
    if (isSlow) waiting.push(send)
    else send()
  }
  await page.evaluate(() => {
    globalThis.outcomes = Array.from(
      { length: 1000 },
      (_, n) =>
        new Promise((resolve) => {
          const image = new Image()
          image.onload = () => resolve('load')
          image.onerror = () => resolve('error')
          image.src = `/media/slow?${n}`
        }),
    )
  })
  await until(() => waiting.length >= 6)
  // The other requests of the page are not refused in the meantime.
  isSlow = false
  for (const send of waiting) send()
  const outcomes = await page.evaluate(() => Promise.all(outcomes))
  assert.equal(outcomes.filter((outcome) => outcome === 'load').length, 1000)
})

leftOut('media() is false at once if no rule has `media`, and the console says so', time, async (t) => {
  const plain = await startApp()
  t.after(() => plain.close())
  const page = await plain.open('/')
  await booted(page)
  const warning = page.waitForEvent('console', (message) => message.text().includes('auth.media()'))
  assert.equal(await page.evaluate(() => auth.media()), false)
  assert.match((await warning).text(), /is false: no rule in apis has `media`/)
})

leftOut('a reload without the service worker is repaired', time, async () => {
  // The shared worker with the session outlives the reload, because it serves another page.
  const page = await openAnother(app, await openGallery(app))
  const devtools = await page.context().newCDPSession(page)
  const loaded = page.waitForEvent('load')
  await devtools.send('Page.reload', { ignoreCache: true })
  await loaded
  await booted(page)
  assert.equal(await page.evaluate(() => navigator.serviceWorker.controller), null)
  assert.equal(await page.evaluate(() => auth.media()), true)
  assert.equal(await show(page, 'img', { src: '/media/picture?again' }), 'load')
})

// In these tests, a service worker waits for ten seconds, or a page for a service worker.
describe('no response', { concurrency: true }, () => {
  leftOut('what a page passes on too late leaves no connection to the API', time, async () => {
    const page = await openGallery(app)
    app.files.endless = sendLong
    // Simulates a busy page, which handles the service worker's first message late.
    await page.addInitScript(() => {
      const hold = (event) => {
        navigator.serviceWorker.removeEventListener('message', hold)
        event.stopImmediatePropagation()
        const { data, ports, source } = event
        const late = new MessageEvent('message', { data, ports, source })
        globalThis.passOn = () => navigator.serviceWorker.dispatchEvent(late)
      }
      if (!globalThis.passOn) navigator.serviceWorker.addEventListener('message', hold)
    })
    const other = await openAnother(app, page)
    await page.reload()
    await booted(page)
    app.api.clear()
    const refused = page.waitForResponse(/\/media\/endless/)
    await page.evaluate(() => void document.body.appendChild(new Audio('/media/endless')).load())
    assert.equal((await refused).status(), 502)
    await page.evaluate(() => passOn())
    const late = () => loads().filter(({ path }) => path.endsWith('/endless'))
    // The vault ends the call at once. Without the message, it would take as long as many pictures.
    for (let n = 0; n < 20; n++) {
      assert.equal(await show(other, 'img', { src: `/media/picture?late=${n}` }), 'load')
      if (late().every(({ aborted }) => aborted)) break
    }
    assert.ok(late().every(({ aborted }) => aborted))
  })

  leftOut('a page without a vault shows no pictures', time, async () => {
    const page = await openGallery(app)
    await page.goto(`${app.site.origin}/empty`)
    const [response, event] = await Promise.all([
      page.waitForResponse(/\/media\//),
      show(page, 'img', { src: '/media/picture' }),
    ])
    assert.equal(event, 'error')
    assert.match(await response.text(), /the page does not respond/)
  })

  leftOut(
    'media() is false without a service worker that has it, and the console says why',
    time,
    async () => {
      app.site.serviceWorkers.push('/other.js')
      app.site.files['/other.js'] =
        "addEventListener('activate', (event) => event.waitUntil(clients.claim()))"
      const said = async (file) => {
        const page = await app.open('/')
        await booted(page)
        if (file) await page.evaluate((file) => navigator.serviceWorker.register(file), file)
        const warning = page.waitForEvent('console', (message) => message.text().includes('auth.media()'))
        assert.equal(await page.evaluate(() => auth.media()), false)
        return (await warning).text()
      }
      const [none, other] = await Promise.all([said(), said('/other.js')])
      assert.match(none, /is false: no service worker is installed/)
      assert.match(other, /is false: http.*\/other\.js does not respond/)
    },
  )
})
