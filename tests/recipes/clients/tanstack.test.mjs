// TanStack Query and its retries. `tanstack.mjs` is written from the guide.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorOf, open, ORIGIN } from './world.mjs'

// On a server, TanStack Query never retries.
globalThis.window = globalThis
const { QueryClient, QueryObserver } = await import('@tanstack/react-query')
const { createClient, options } = await import('./tanstack.mjs')

const time = { timeout: 30_000 }

/** Resolves with the data of a query, or rejects with its error, as a component shows it. */
const query = (client, auth, further) => {
  const observer = new QueryObserver(client, {
    queryKey: ['orders'],
    gcTime: 0,
    ...options(auth, `${ORIGIN}/orders`),
    ...further,
  })
  return new Promise((resolve, reject) => {
    const stop = observer.subscribe(({ status, data, error }) => {
      if (status === 'pending') return
      stop()
      client.clear()
      if (status === 'success') resolve(data)
      else reject(error)
    })
  })
}

test('reads through the vault', time, async () => {
  const { world, auth } = await open(() => Response.json([{ id: 1041 }]))
  assert.deepEqual(await query(createClient(), auth), [{ id: 1041 }])
  world.close()
})

test('with the option, login_required reaches the app at once', time, async () => {
  const { world, auth } = await open(() => Response.json([]), { isSignedIn: false })
  const error = await errorOf(query(createClient(), auth))
  assert.equal(error.code, 'login_required')
  assert.equal(auth.calls, 1)
  world.close()
})

test('control: without the option, it takes seven seconds', time, async () => {
  const { world, auth } = await open(() => Response.json([]), { isSignedIn: false })
  const start = performance.now()
  const error = await errorOf(query(new QueryClient(), auth))
  const seconds = (performance.now() - start) / 1000
  assert.equal(error.code, 'login_required')
  assert.equal(auth.calls, 4)
  assert.ok(seconds > 6.9 && seconds < 9, `${seconds} s`)
  world.close()
})

for (const [name, api] of Object.entries({
  'a failure of the network': () => {
    throw new TypeError('the connection was cut')
  },
  'a 503 of the API': () => Response.json({ error: 'busy' }, { status: 503 }),
})) {
  test(`with the option, repeats a query after ${name}`, time, async () => {
    const { world, auth } = await open(api)
    await errorOf(query(createClient(), auth, { retryDelay: 1 }))
    assert.equal(auth.calls, 4)
    world.close()
  })
}
