/**
 * The addresses of the static demo, which are all in the folder of its page. Nothing is served at the addresses of the
 * provider's endpoints and of the API: the worker itself responds (fetch.ts).
 */

/** A classic script knows its own address. The page and the worker are in the demo's folder themselves. */
const script = typeof document === 'object' ? (document.currentScript as HTMLScriptElement | null) : null

export const home = new URL('.', script?.src ?? location.href).href

export const issuer = `${home}provider`
export const api = `${home}api/v1/`
export const clientId = 'strongroom-demo'
export const redirectUri = home

export const comparison = {
  url: `${home}comparison/`,
  // A sandboxed frame has an opaque origin, which no target can name. The only message is 'search'.
  origin: '*',
  clientId: 'local-storage',
  redirectUri: home,
  isSandboxed: true,
}
