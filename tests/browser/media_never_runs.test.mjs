// Nothing at an address of `media()` becomes a document, a script or a style, however a page opens the address.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { openGallery, startMediaApp } from '../support/media.mjs'

const time = { timeout: 120_000 }

const RAN = `try { localStorage.ran = 'yes' } catch {}
try { postMessage('ran') } catch {}`

const KINDS = {
  'page.html': ['text/html', `<!doctype html><script>${RAN}</script>`],
  'drawing.svg': [
    'image/svg+xml',
    `<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"><script>${RAN}</script></svg>`,
  ],
  'script.js': ['text/javascript', RAN],
  'style.css': ['text/css', 'html { opacity: 0.5 }'],
}

/** The ways in which a page can open an address. Each resolves when the browser is done with it. */
const WAYS = {
  img: (url) => element('img', { src: url }),
  iframe: (url) => element('iframe', { src: url }),
  object: (url) => element('object', { data: url }),
  embed: (url) => element('embed', { src: url }),
  script: (url) => element('script', { src: url }),
  module: (url) => element('script', { src: url, type: 'module' }),
  stylesheet: async (url) => {
    await element('link', { href: url, rel: 'stylesheet' })
    if (getComputedStyle(document.documentElement).opacity !== '1') localStorage.ran = 'yes'
  },
  worker: (url) =>
    new Promise((resolve) => {
      const worker = new Worker(url)
      worker.onmessage = () => resolve((localStorage.ran = 'yes'))
      worker.onerror = resolve
    }),
  open: async (url) => {
    const opened = open(url)
    await new Promise((resolve) => {
      const look = () => {
        let isDone = true
        // A sandboxed document has another origin.
        try {
          isDone = opened.location.href !== 'about:blank' && opened.document.readyState === 'complete'
        } catch {}
        if (isDone) resolve()
        else setTimeout(look, 10)
      }
      look()
    })
    opened.close()
  },
}

let app
before(async () => {
  app = await startMediaApp()
  app.site.pageCsp = "default-src 'self' 'unsafe-inline'"
  for (const [name, [type, body]] of Object.entries(KINDS)) {
    app.files[name] = [type, body]
    app.site.files[`/plain/${name}`] = body
  }
})
after(() => app.close())

/** Opens a file in all ways. Returns those in which it ran. */
async function ranIn(page, url) {
  const ran = []
  const take = () => page.evaluate(() => [localStorage.ran, localStorage.removeItem('ran')][0])
  for (const [name, way] of Object.entries(WAYS)) {
    await page.evaluate(way, url)
    if (await take()) ran.push(name)
    await page.evaluate(() =>
      document.querySelectorAll('link[rel=stylesheet]').forEach((link) => link.remove()),
    )
  }
  const other = await page.context().newPage()
  await other.goto(new URL(url, app.site.origin).href)
  if (await take()) ran.push('navigation')
  await other.close()
  return ran
}

const DOCUMENTS = ['iframe', 'object', 'embed', 'open', 'navigation']
const WHERE_PLAIN = {
  'page.html': DOCUMENTS,
  'drawing.svg': DOCUMENTS,
  'script.js': ['script', 'module', 'worker'],
  'style.css': ['stylesheet'],
}

async function openWithTools() {
  const page = await openGallery(app)
  await page.evaluate(() => {
    globalThis.element = (name, attributes) =>
      new Promise((resolve) => {
        const element = document.createElement(name)
        element.onload = element.onerror = resolve
        Object.assign(element, attributes)
        document.body.append(element)
      })
  })
  return page
}

for (const name of Object.keys(KINDS)) {
  // claim: script-41
  test(`never runs at a media address: ${name}`, time, async () => {
    const page = await openWithTools()
    assert.deepEqual(await ranIn(page, `/plain/${name}`), WHERE_PLAIN[name], 'a control: where it runs')
    assert.deepEqual(await ranIn(page, `/media/${name}`), [])
  })
}

// claim: script-41
test('a fetch by a script of the page is refused', time, async () => {
  const page = await openGallery(app)
  const statuses = await page.evaluate(() =>
    Promise.all(
      ['GET', 'HEAD', 'POST'].map((method) =>
        fetch('/media/drawing.svg', { method }).then(({ status }) => status),
      ),
    ),
  )
  assert.deepEqual(statuses, [403, 403, 403])
})
