/**
 * Stand-ins for the worker's address and for the network. The vault keeps the `fetch` that it finds when
 * `strongroom/worker` is evaluated, so the worker's file imports this module first.
 */

const MODULE = new URL('./strongroom_bg.wasm', import.meta.url).href

const network = fetch
const { href } = location

/** Makes the vault read its configuration as a worker with this address would. */
export function standAt(address: string): void {
  Object.defineProperty(self, 'location', { value: new URL(address) })
}

globalThis.fetch = async (input) => {
  const url = String(input)
  if (url === MODULE || url === href) return network(url)
  // The vault looks at the policy of its own file.
  if (url === location.href) return network(href)
  throw new TypeError('The playground sends no requests to other servers.')
}
