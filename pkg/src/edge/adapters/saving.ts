import type { RequestAuth } from '../request-auth.js'

/** The part of a response of Node whose headers can be read. */
export interface HeaderStore {
  readonly headersSent: boolean
  getHeader(name: string): number | string | string[] | undefined
  setHeader(name: string, value: string | string[]): unknown
}

/**
 * Returns an object that adds its headers to the response after each use, unless the response's head has been sent: some
 * servers have no step after the app in which this is possible for all responses, such as those to errors.
 */
export const savingTo = (response: HeaderStore, auth: RequestAuth): RequestAuth => {
  let added: readonly string[] = []
  const add = async (): Promise<void> => {
    const headers = await auth.headers()
    if (response.headersSent) return
    const others = [response.getHeader('set-cookie') ?? []].flat().map(String)
    const apps = others.filter((cookie) => !added.includes(cookie))
    added = headers.getSetCookie()
    if (others.length || added.length) response.setHeader('set-cookie', [...apps, ...added])
    response.setHeader('cache-control', headers.get('cache-control')!)
  }
  // One after the other, so that the cookies of the latest session remain.
  let last = Promise.resolve()
  const save = (): Promise<void> => (last = last.then(add, add))

  return {
    async call(path, init) {
      const result = await auth.call(path, init)
      await save()
      return result
    },
    async session() {
      const result = await auth.session()
      await save()
      return result
    },
    headers: () => auth.headers(),
  }
}
