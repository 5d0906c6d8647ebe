/** Milliseconds for the way to the suite and back. The suite answers without a page. */
const WAY = 15_000

/** Resolves with `back` when a page is at a URL that begins so, otherwise with the URL at which it is. */
export const backAt = (page, beginning) =>
  page.waitForEvent('load', { timeout: WAY, predicate: () => page.url().startsWith(beginning) }).then(
    () => 'back',
    () => `not back, but at ${page.url()}`,
  )

/** The response of an API that refuses each token. */
export const TOKEN_REFUSED = {
  status: 401,
  headers: { 'WWW-Authenticate': 'Bearer error="invalid_token"' },
  body: '',
}
