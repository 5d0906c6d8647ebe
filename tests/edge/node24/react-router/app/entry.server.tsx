import { randomUUID } from 'node:crypto'
import { isbot } from 'isbot'
import { renderToReadableStream } from 'react-dom/server'
import { type EntryContext, ServerRouter } from 'react-router'
import { issuer } from './handler.server'

// Vite's development server puts inline styles into pages.
const styles = import.meta.env.DEV ? "'self' 'unsafe-inline'" : "'self'"

const policyWith = (nonce: string) =>
  [
    "default-src 'none'; connect-src 'self'; img-src 'self' data:; font-src 'self'",
    `script-src 'self' 'nonce-${nonce}'; style-src ${styles}`,
    // Script in a page must not see the response to a login of its own: in a frame, in a service worker, or, by
    // Cross-Origin-Opener-Policy, in a window.
    "frame-src 'none'; object-src 'none'; worker-src 'none'",
    // Browsers check `form-action` also for the redirect of a form that signs out.
    `base-uri 'none'; form-action 'self' ${new URL(issuer).origin}; frame-ancestors 'none'`,
  ].join('; ')

/** Responds with a page. */
export default async function handleRequest(
  request: Request,
  status: number,
  headers: Headers,
  context: EntryContext,
) {
  const nonce = randomUUID()
  headers.set('Content-Type', 'text/html')
  headers.set('Content-Security-Policy', policyWith(nonce))
  headers.set('Cross-Origin-Opener-Policy', 'same-origin')
  // Not `no-referrer`: browsers would send forms without script with `Origin: null`, which React Router refuses.
  headers.set('Referrer-Policy', 'same-origin')
  headers.set('X-Content-Type-Options', 'nosniff')
  const page = <ServerRouter context={context} url={request.url} nonce={nonce} />
  const body = await renderToReadableStream(page, {
    nonce,
    signal: AbortSignal.timeout(6000),
    onError(error) {
      status = 500
      console.error(error)
    },
  })
  if (isbot(request.headers.get('user-agent'))) await body.allReady
  return new Response(body, { status, headers })
}
