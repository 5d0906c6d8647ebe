/** Milliseconds for the way to the suite and back. The suite answers without a page. */
const WAY = 15_000

/** Resolves with `back` when a page is at such a URL, otherwise with the URL at which it is. */
export const backWhere = (page, isBack) =>
  page.waitForEvent('load', { timeout: WAY, predicate: () => isBack(page.url()) }).then(
    () => 'back',
    () => `not back, but at ${page.url()}`,
  )

/** Resolves with `back` when a page is at a URL that begins so, otherwise with the URL at which it is. */
export const backAt = (page, beginning) => backWhere(page, (url) => url.startsWith(beginning))

/** The response of an API that refuses each token. */
export const TOKEN_REFUSED = {
  status: 401,
  headers: { 'WWW-Authenticate': 'Bearer error="invalid_token"' },
  body: '',
}
