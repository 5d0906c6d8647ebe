// `auth.download`: a file of an API streams to the disk, from an address that is good once.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { booted } from '../support/app.mjs'
import { leftOut } from '../support/combinations.mjs'
import { openGallery, startMediaApp } from '../support/media.mjs'

const time = { timeout: 60_000 }
const HTML = Buffer.from('<!doctype html><script>localStorage.ran = 1</script>')

let app
before(async () => {
  app = await startMediaApp()
  app.files['report.html'] = ['text/html', HTML]
})
after(() => app.close())

/** Calls `auth.download`. Resolves with the file's name and content. */
async function download(page, path, options) {
  const [file] = await Promise.all([
    page.waitForEvent('download'),
    page.evaluate((given) => auth.download(...given), [path, options]),
  ])
  return { name: file.suggestedFilename(), content: await readFile(await file.path()) }
}

// claim: script-44
test('a file is downloaded with its name, and never shown', time, async () => {
  const page = await openGallery(app)
  app.api.clear()
  for (const [options, name] of [
    [undefined, 'report.html'],
    [{ name: 'Übersicht "März".html' }, 'Übersicht _März_.html'],
    [{ name: '../../.profile' }, '_.._.profile'],
    [{ name: 'invoice\u202Efdp.exe' }, 'invoice_fdp.exe'],
  ]) {
    const file = await download(page, '/media/report.html', options)
    assert.equal(file.name, name)
    assert.deepEqual(file.content, HTML)
  }
  assert.equal(await page.evaluate(() => localStorage.ran), undefined)
  assert.equal(app.api.requests[0].claims.sub, 'alice')
})

leftOut('a compressed file is downloaded whole', time, async () => {
  const page = await openGallery(app)
  const rows = randomBytes(300_000).toString('hex')
  app.files['rows.csv'] = ({ response }) => {
    const body = gzipSync(rows)
    response.writeHead(200, {
      'Content-Type': 'text/csv',
      'Content-Encoding': 'gzip',
      'Content-Length': body.length,
    })
    response.end(body)
  }
  const { content } = await download(page, '/media/rows.csv')
  assert.equal(content.toString(), rows)
})

leftOut('where the policy forbids frames, a file is downloaded, too, and the page stays', time, async () => {
  const { pageCsp } = app.site
  app.site.pageCsp = pageCsp.replace(/; frame-src.*/, '')
  try {
    const page = await openGallery(app)
    await page.evaluate(() => (globalThis.stays = true))
    assert.deepEqual((await download(page, '/media/report.html')).content, HTML)
    const missing = await page.evaluate(() => settle(auth.download('/media/missing')))
    assert.equal(missing.error.code, 'download_failed')
    assert.deepEqual((await download(page, '/media/report.html')).content, HTML)
    assert.equal(await page.evaluate(() => stays), true)
  } finally {
    app.site.pageCsp = pageCsp
  }
})

leftOut('a policy that only reports does not open the file in the page', time, async () => {
  const headers = app.site.headers['/index.html']
  app.site.headers['/index.html'] = { 'Content-Security-Policy-Report-Only': "frame-src 'none'" }
  try {
    const page = await openGallery(app)
    await page.evaluate(() => {
      globalThis.reported = new Promise((resolve) =>
        document.addEventListener('securitypolicyviolation', ({ disposition }) => resolve(disposition)),
      )
    })
    const opened = []
    page.on('request', (request) => {
      if (request.isNavigationRequest() && request.frame() === page.mainFrame()) opened.push(request.url())
    })
    assert.deepEqual((await download(page, '/media/report.html')).content, HTML)
    assert.equal(await page.evaluate(() => reported), 'report')
    await page.evaluate(() => new Promise((resolve) => setTimeout(resolve)))
    assert.deepEqual(opened, [])
  } finally {
    app.site.headers['/index.html'] = headers
  }
})

test('a download that the API refuses ends its connection', time, async () => {
  const page = await openGallery(app)
  app.files.refused = ({ response }) => {
    response.writeHead(500, { 'Content-Type': 'text/plain' })
    response.write(Buffer.alloc(1024 * 1024))
  }
  app.api.clear()
  const { error } = await page.evaluate(() => settle(auth.download('/media/refused')))
  assert.equal(error.code, 'download_failed')
  await app.api.requests.find(({ path }) => path.endsWith('/refused')).closed
})

// claim: script-44
test('an address of a download is good once', time, async () => {
  const page = await openGallery(app)
  const [request] = await Promise.all([
    page.waitForRequest(/\/media\//),
    download(page, '/media/report.html'),
  ])
  const other = await page.context().newPage()
  const response = await other.goto(request.url())
  assert.equal(response.status(), 403)
})

leftOut('a file that cannot be loaded rejects', time, async () => {
  const page = await openGallery(app)
  const failure = (path) => page.evaluate((given) => settle(auth.download(given)), path)
  const missing = await failure('/media/missing')
  assert.equal(missing.error.code, 'download_failed')
  assert.match(missing.error.message, /404/)
  await page.evaluate(() => auth.logout())
  const refused = await failure('/media/report.html')
  assert.equal(refused.error.code, 'download_failed')
  assert.match(refused.error.message, /login_required/)
})

leftOut('without a service worker a download is unsupported', time, async () => {
  const page = await app.open('/')
  await booted(page)
  for (const path of ['/media/report.html', 'https://other.example.com/media/report.html']) {
    const { error } = await page.evaluate((given) => settle(auth.download(given)), path)
    assert.equal(error.code, 'unsupported', path)
  }
})
