/** A cookie as `context.addCookies()` of Playwright takes it. */
export interface TestCookie {
  name: string
  value: string
  /** The origin that sets the cookie. */
  url: string
  /** The end of the cookie in seconds since the Unix epoch. */
  expires: number
  httpOnly: boolean
  secure: boolean
  sameSite: 'Lax' | 'Strict'
}

/** Returns the cookies that a response sets at an origin, without those that it deletes. */
export const cookiesOf = (response: Response, url: string): TestCookie[] =>
  response.headers
    .getSetCookie()
    .map((text) => cookieOf(text, url))
    .filter(({ value }) => value)

/** Reads a header `Set-Cookie` of the handler. */
const cookieOf = (text: string, url: string): TestCookie => {
  const [pair, ...parts] = text.split('; ')
  const [name, value] = split(pair!)
  const attributes = new Map(parts.map(split))
  return {
    name,
    value,
    url,
    expires: Math.floor(Date.now() / 1000) + Number(attributes.get('Max-Age')),
    httpOnly: attributes.has('HttpOnly'),
    secure: attributes.has('Secure'),
    sameSite: attributes.get('SameSite') === 'Strict' ? 'Strict' : 'Lax',
  }
}

/** Splits a string at its first `=`. */
const split = (text: string): [string, string] => {
  const [name, ...rest] = text.split('=')
  return [name!, rest.join('=')]
}
