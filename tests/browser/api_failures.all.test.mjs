// On loopback, the page's console says once why calls of an API fail.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { call, signIn, startApp } from '../support/app.mjs'
import { listen } from '../support/listen.mjs'

const time = { timeout: 40_000 }

let app, api
/** The headers of the API's responses. */
let cors = {}

before(async () => {
  ;[app, api] = await Promise.all([
    startApp(),
    listen({
      handler(request, response) {
        const isRefused = request.method !== 'OPTIONS' && request.url === '/refused'
        const challenge = {
          'WWW-Authenticate': 'Bearer error="invalid_token", error_description="Wrong audience"',
        }
        response.writeHead(isRefused ? 401 : 200, { ...cors, ...(isRefused && challenge) }).end('[]')
      },
    }),
  ])
  app.site.connectSrc.push(api.origin)
  app.setConfig({ apis: [{ url: `${api.origin}/` }] })
})
after(async () => {
  await app?.close()
  await api?.close()
})

/** Signs in. Resolves with the page, and the warnings on its console so far. */
async function open() {
  const page = await app.open()
  const lines = []
  page.on('console', (message) => message.text().startsWith('strongroom: ') && lines.push(message.text()))
  await signIn(page)
  return { page, lines }
}

test('API that does not allow the header Authorization is named once', time, async () => {
  cors = { 'Access-Control-Allow-Origin': app.site.origin }
  const { page, lines } = await open()
  const warned = page.waitForEvent('console', (message) => message.text().includes('api_unreachable'))
  for (let i = 0; i < 2; i++) assert.equal((await call(page, `${api.origin}/orders`)).error.name, 'TypeError')
  await warned
  assert.equal(lines.length, 1)
  assert.ok(lines[0].startsWith(`strongroom: api_unreachable: no call to ${api.origin} has got a response. `))
  assert.match(lines[0], /Access-Control-Allow-Headers: authorization/)
  await page.context().close()
})

test("API's reason for a 401 is on the console if CORS exposes it", time, async () => {
  for (const [exposed, reason] of [
    ['WWW-Authenticate', ': invalid_token "Wrong audience"'],
    ['Date', ''],
  ]) {
    cors = {
      'Access-Control-Allow-Origin': app.site.origin,
      'Access-Control-Allow-Headers': 'authorization',
      'Access-Control-Expose-Headers': exposed,
    }
    const { page, lines } = await open()
    const warned = page.waitForEvent('console', (message) => message.text().includes('token_refused'))
    const outcome = await call(page, `${api.origin}/refused`)
    assert.equal(outcome.value?.status, 401, JSON.stringify(outcome))
    await warned
    const start = `strongroom: token_refused: ${api.origin} responded with 401 to an access token that was issued a moment ago${reason}. Compare`
    assert.ok(lines.at(-1).startsWith(start), lines.at(-1))
    await page.context().close()
  }
})
