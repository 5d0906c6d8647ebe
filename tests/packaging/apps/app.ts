// The shared files have no types, so that tools without TypeScript can build them too.
import { auth, second } from './auth'

/** Connects, calls two APIs and shows what happened. A click signs in. The test connects the second account. */
export async function start() {
  const show = (shown) => document.documentElement.setAttribute('data-result', JSON.stringify(shown))
  const outcome = async (url) => {
    try {
      return (await auth.fetch(url)).status
    } catch (error) {
      return error.code ?? error.name
    }
  }
  document.documentElement.onclick = () => auth.login()
  Object.assign(globalThis, { second })
  try {
    await auth.connect()
    // An error would load further scripts.
    const scripts = performance.getEntriesByType('resource').map(({ name }) => name)
    show({
      scripts,
      status: auth.state.status,
      user: auth.state.session?.claims.name ?? null,
      orders: await outcome('http://127.0.0.1:4402/v1/orders'),
      // The vault's rules allow this address, but the worker's policy does not.
      unlisted: await outcome('http://localhost:4402/v1/orders'),
    })
  } catch (error) {
    show({ code: error.code, message: error.message })
  }
}
