// A page over a token handler that the browser has prerendered: it connects when it is shown, and its pictures load before.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startPage } from '../../support/edge/page.mjs'
import { servePrerendering } from '../../support/prerender.mjs'
import { until } from '../../support/until.mjs'

const time = { timeout: 60_000 }

let app
let pages

before(async () => {
  app = await startPage('node', {
    route: { prefix: '/files/', methods: ['GET', 'HEAD'], media: true, reflection: 'headers' },
  })
  pages = await servePrerendering(app.site, '/orders', () => pages.report('picture'))
  app.site.pageCsp = `default-src 'none'; script-src 'self' 'inline-speculation-rules'; img-src 'self' data:; connect-src 'self' ${pages.origin}`
  app.site.files['/page.js'] = `
import '/tools.js'
${pages.reporting}
document.addEventListener('prerenderingchange', () => report({ what: 'shown' }))
const auth = createAuth('/auth')
auth.subscribe(({ status, error }) => status !== 'connecting' && report({ what: status, code: error?.code }))
auth.requireSession()
const call = settle(auth.fetch('/files/1')).then(({ error }) => report({ what: 'call', code: error?.code }))
const picture = new Image()
picture.onload = picture.onerror = () => {
  const [{ responseStatus }] = performance.getEntriesByName(picture.src)
  report({ what: 'picture', responseStatus })
}
picture.src = '/files/1.png'
`
})
after(() => Promise.all([app?.close(), pages?.close()]))

// claim: handler-14
test('page connects and signs in when it is shown, and its pictures load before', time, async () => {
  const close = await pages.open()
  try {
    const { responseStatus, prerendering } = await pages.report('picture')
    assert.equal(prerendering, true, 'the page was not prerendered')
    // Nobody is signed in. The handler has accepted the request.
    assert.equal(responseStatus, 401)
    const shown = await pages.report('shown')
    const call = await pages.report('call')
    assert.deepEqual([call.code, call.prerendering], ['login_required', false])
    const connected = await pages.report('connected')
    assert.equal(connected.prerendering, false)
    const trip = await until(() => app.ledger.authorizationRequests()[0])
    assert.ok(trip.at >= shown.at, 'a hidden page navigated to the provider')
  } finally {
    await close()
  }
})
