/** Reads the pages, which share a document for the demo with servers and for the one without. */
import { readFile } from 'node:fs/promises'
import { escape } from '../tests/support/pages.mjs'

const at = (path) => new URL(path, import.meta.url)

/** The address of a document on the code host. */
export const onHost = (name) => `https://github.com/strongroom/strongroom/blob/main/docs/${name}.md`

/**
 * Returns a page. Parts between `<!--live-->` and `<!--/live-->` are for the demo with servers, those between
 * `<!--static-->` and `<!--/static-->` for the demo without servers, and those between `<!--theft-->` and
 * `<!--/theft-->` for the demo with a theft. `<!--site-header-->` becomes the site's header in a page without servers.
 *
 * @param {string} file
 * @param {('live' | 'static' | 'theft')[]} kinds The kinds of parts that the page keeps.
 * @param {(name: string) => string} document Returns the address of a document in `docs`.
 * @param {(config: string) => string} [own] Changes the configuration for the demo in docs/testing-your-app.md, which a live page shows.
 */
export async function readPage(file, kinds, document, own) {
  const header = await readFile(at('static/header.html'), 'utf8')
  const html = (await readFile(at(file), 'utf8'))
    .replace(/ *<!--site-header-->\n/, kinds.includes('static') ? header : '')
    .replace(/ *<!--(\w+)-->[^]*?<!--\/\1-->\n/g, (part, kind) => (kinds.includes(kind) ? part : ''))
    .replace(/ *<!--[/\w]+-->\n/g, '')
    .replace(/data-document="([\w/-]+)"/g, (_, name) => `href="${document(name)}"`)
  return html.includes('aria-label="src/') ? withSample(html, own) : html
}

/**
 * Writes the files of the README's sample into the page's empty listings. With `own`, the worker's file gets the README's
 * configuration for the demo, so that a reader can paste it.
 */
async function withSample(html, own) {
  const readme = await readFile(at('../README.md'), 'utf8')
  const blocks = [...readme.matchAll(/^```tsx?\n(\/\/ (src\/[\w.]+)[^]*?)^```$/gm)]
  const sample = new Map(blocks.map(([, code, file]) => [file, code]))
  if (own) {
    const worker = 'src/auth.worker.ts'
    const [config] = (await readFile(at('../docs/testing-your-app.md'), 'utf8')).match(
      /^vault\(\{\n  issuer: 'http:[^]*?^\}\)\n/m,
    )
    sample.set(
      worker,
      sample.get(worker).replace(/^vault\([^]*/m, () => own(config)),
    )
  }
  const page = html.replace(/(<pre [^>]*aria-label="(src\/[\w.]+)">)(?=<\/pre>)/g, (start, _, file) => {
    const code = sample.get(file)
    if (!code) throw new Error(`README.md has no sample of ${file}, which index.html shows`)
    sample.delete(file)
    return start + escape(code)
  })
  if (sample.size) throw new Error(`index.html does not show ${[...sample.keys()].join(', ')} of README.md`)
  return page
}
