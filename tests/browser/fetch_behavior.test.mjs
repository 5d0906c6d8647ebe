// Compares auth.fetch and the page's own fetch in one page. The test prints the differences, which must be exactly
// those in docs/fetch.md.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { gzipSync } from 'node:zlib'
import { signIn, startApp } from '../support/app.mjs'
import { listen } from '../support/listen.mjs'
import { mostly } from '../support/retries.mjs'
import { BEHAVIORS } from './fetch_behaviors.mjs'

const time = { timeout: 240_000 }

let app, page, addresses

before(async () => {
  app = await startApp({ plainFetch: true, provider: { accessTokenSeconds: 3600 } })
  const nobody = `${await nowhere()}/`
  // Another host name for loopback is another origin. The worker's policy allows this origin, but the page's policy
  // does not.
  const elsewhere = `${app.api.origin.replace('127.0.0.1', 'localhost')}/v1/`
  app.site.connectSrc.push(nobody, new URL(elsewhere).origin)
  app.site.pageCsp += ` ${nobody} data: blob:`
  const apis = [...app.config.apis, { url: nobody }, { url: elsewhere }]
  app.setConfig({ apis: apis.map((rule) => ({ ...rule, credentials: 'include' })) })
  addresses = { api: app.api.url, nobody, elsewhere: `${elsewhere}on/raw`, site: app.site.origin }
  serve(app.api)
  page = await app.open()
  await signIn(page)
  await page.evaluate(prepare, { token: app.ledger.newest('access_token').value, addresses })
})
after(() => app?.close())

/** Resolves with an origin where no server listens. */
async function nowhere() {
  const server = await listen({ handler() {} })
  await server.close()
  return server.origin
}

/** Adds the routes `raw` and `mirror`, which the cases of `BEHAVIORS` use, to the API. */
function serve(api) {
  const counts = new Map()

  /** Sends the response that the query describes. The parameter `header` has the form `Name: value`. */
  api.on('raw', async ({ request, response, url }) => {
    const asked = (name) => url.searchParams.get(name)
    if (asked('hangup')) return response.destroy()
    if (asked('garbage')) return void response.socket.end('what?\r\n\r\n')
    if (asked('wait')) await sleep(Number(asked('wait')))
    if (response.destroyed) return
    const origin = asked('origin')
    if (origin !== null) response.removeHeader('Access-Control-Allow-Origin')
    if (origin) response.setHeader('Access-Control-Allow-Origin', origin)
    if (asked('credentials')) response.removeHeader('Access-Control-Allow-Credentials')
    if (asked('expose') === 'none') response.removeHeader('Access-Control-Expose-Headers')
    if (asked('expose') === '*') response.setHeader('Access-Control-Expose-Headers', '*')
    for (const header of url.searchParams.getAll('header')) {
      const [name, value] = header.split(/:(.*)/s)
      if (value !== undefined) response.appendHeader(name, value.trim() && value)
    }
    if (!response.hasHeader('cache-control')) response.setHeader('Cache-Control', 'no-store')
    let body = asked('base64') ? Buffer.from(asked('base64'), 'base64') : Buffer.from(asked('body') ?? '')
    if (asked('size')) body = Buffer.alloc(Number(asked('size')), 'x')
    if (asked('gzip')) {
      body = gzipSync(body)
      response.setHeader('Content-Encoding', 'gzip')
    }
    if (asked('count')) {
      counts.set(request.url, (counts.get(request.url) ?? 0) + 1)
      body = Buffer.from(String(counts.get(request.url)))
    }
    const status = Number(asked('status') ?? 200)
    const isEmpty = [204, 205, 304].includes(status) || !body.length
    if (!isEmpty) response.setHeader('Content-Length', body.length)
    response.writeHead(status, asked('reason') ?? undefined)
    if (asked('cut')) return response.write(body.subarray(0, Number(asked('cut'))), () => response.destroy())
    if (asked('stall')) return void response.write(body.subarray(0, body.length / 2))
    response.end(isEmpty ? undefined : body)
  })

  /** Responds with a description of the request. */
  api.on('mirror', ({ request, response, body }) => {
    const { authorization, ...headers } = request.headers
    const custom = Object.entries(headers).filter(([name]) => /^x-/.test(name))
    const hex = body.subarray(0, 20).toString('hex')
    const seen = { method: request.method, path: request.url, headers, custom, length: body.length, hex }
    const text = JSON.stringify({ ...seen, body: body.length < 10_000 ? body.toString() : null })
    response.writeHead(200, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' })
    response.end(text)
  })
}

/** This function runs in the page. */
function prepare({ token, addresses }) {
  const failure = async (promise) => {
    try {
      await promise
      return 'it succeeded'
    } catch (error) {
      return { name: error?.name, isTypeError: error instanceof TypeError, code: error?.code }
    }
  }
  const fetches = {
    async plain(...args) {
      const request = new Request(...args)
      if (!request.headers.has('authorization') && /^http/.test(request.url)) {
        request.headers.set('authorization', `Bearer ${token}`)
      }
      return fetch(request)
    },
    vault: auth.fetch,
    planted: async (...args) => {
      const response = await auth.fetch(...args)
      return new Proxy(response, {
        get: (target, name) => (name === 'status' ? target.status + 1 : Reflect.get(target, name, target)),
      })
    },
  }
  const tools = {
    ...addresses,
    failure,
    mirror: `${addresses.api}on/mirror`,
    raw: ({ header = [], ...options }) =>
      `${addresses.api}on/raw?${new URLSearchParams([...Object.entries(options), ...header.map((line) => ['header', line])])}`,
    read: async (response) => ({
      status: response.status,
      statusText: response.statusText,
      ok: response.ok,
      type: response.type,
      redirected: response.redirected,
      headers: [...response.headers].filter(([name]) => !['date', 'keep-alive'].includes(name)),
      text: await response.text(),
    }),
    sent: (response) => response.json(),
    seen: async () => Number(await (await fetches.plain(`${addresses.api}on/seen`)).text()),
    bytes: (size) => new Uint8Array(size),
  }
  /** Limits the time of a case, so that a case that hangs has a result. */
  const late = () => new Promise((resolve) => setTimeout(resolve, 10_000, 'nothing in ten seconds'))
  globalThis.run = async (code, which) => {
    const names = Object.keys(tools)
    const action = Reflect.construct(async function () {}.constructor, [
      'fetch',
      'which',
      ...names,
      `return await (${code})`,
    ])
    try {
      const outcome = action(fetches[which], which, ...Object.values(tools))
      return await Promise.race([outcome, late()])
    } catch (error) {
      return { rejects: error?.name, code: error?.code }
    }
  }
}

/** Resolves with the cases in the first column of the table in docs/fetch.md, in backticks. */
async function allowed() {
  const text = await readFile(new URL('../../docs/fetch.md', import.meta.url), 'utf8')
  const [, table] = text.split('| case | `fetch` | `auth.fetch` |')
  assert.ok(table, 'docs/fetch.md has no table of differences')
  const rows = table.split('\n\n')[0].matchAll(/^\| `([^`]+)` \|/gm)
  return [...rows].map(([, id]) => id)
}

/**
 * Resolves with the cases that differ. A case that need not differ must differ three times: on a busy machine, a body may
 * arrive later than the 30 ms for which its head waits, and then the page gets no `Content-Length`.
 */
async function differences(cases, which, documented = []) {
  const compare = async (code) => {
    const plain = await page.evaluate(([text]) => run(text, 'plain'), [code])
    const vault = await page.evaluate(([text, whose]) => run(text, whose), [code, which])
    return isDeepStrictEqual(plain, vault) ? undefined : { plain, vault }
  }
  const found = new Map()
  for (const [id, code] of cases) {
    const difference = await mostly(
      () => compare(code),
      (found) => !found || documented.includes(id),
    )
    if (difference) found.set(id, difference)
  }
  return found
}

const CASES = Object.entries(BEHAVIORS).flatMap(([group, cases]) =>
  Object.entries(cases).map(([name, code]) => [`${group}: ${name}`, code]),
)

// claim: everyday-10
test('fetch and auth.fetch differ only as docs/fetch.md says', time, async (t) => {
  app.api.on('seen', ({ response }) => response.end(String(app.api.requests.length)))
  const documented = await allowed()
  const found = await differences(CASES, 'vault', documented)
  t.diagnostic(`${CASES.length} behaviors, ${found.size} differ`)
  for (const [id, { plain, vault }] of found) {
    t.diagnostic(`${id}\n    fetch:      ${JSON.stringify(plain)}\n    auth.fetch: ${JSON.stringify(vault)}`)
  }
  assert.ok(CASES.length >= 100)
  assert.deepEqual([...found.keys()].sort(), documented.sort())
})

test('the control: a planted difference is found', time, async () => {
  const some = CASES.filter(([id]) => /^basic: (a response has|status 404|it is bound)/.test(id))
  const found = await differences(some, 'planted')
  assert.deepEqual([...found.keys()], ['basic: a response has status, text and body', 'basic: status 404'])
})
