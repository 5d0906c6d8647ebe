import { booted } from './app.mjs'
import { listen } from './listen.mjs'

/**
 * Starts a site whose pages show a page in a frame. The query parameter `path` names the page's path, by default `/`.
 *
 * @param {string} host The site's host.
 * @param {string} app The origin of the page in the frame.
 */
export const surround = (host, app) =>
  listen({
    host,
    handler({ url }, response) {
      const path = new URL(url, 'http://around').searchParams.get('path') ?? '/'
      const html = `<!doctype html><iframe src="${app}${path}"></iframe>`
      response.writeHead(200, { 'Content-Type': 'text/html' }).end(html)
    },
  })

/** Opens a page of such a site. Resolves with the frame when the app has started. */
export async function openAround(context, { origin }, options = '') {
  const page = await context.newPage()
  page.setDefaultTimeout(15_000)
  await page.goto(origin + options)
  return startedFrame(page)
}

/** Resolves with the frame of a page when the app has started in it. */
export async function startedFrame(page) {
  const frame = page.frames()[1]
  await frame.waitForFunction(() => globalThis.boot)
  await booted(frame)
  return frame
}

/** Resolves with the subject of the signed-in user, or with `null`. */
export const userIn = (frame) => frame.evaluate(() => auth.session?.claims.sub ?? null)
