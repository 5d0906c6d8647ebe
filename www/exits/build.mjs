import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { BUNDLE } from '../bundle.mjs'
import { onHost, readPage } from '../page.mjs'
import { WAYS } from './start.mjs'

const at = (path) => new URL(path, import.meta.url)

/**
 * Bundles the script of the page of the exits.
 *
 * @param {{ demo: string }} addresses The origin of the demo's first page.
 * @returns {Promise<import('../build.mjs').Files>} The files of the exits' origin, by path.
 */
export async function buildExits({ demo }) {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(at('exits.ts'))],
    ...BUNDLE,
    define: { WAYS: JSON.stringify(WAYS.map(({ name }) => name)) },
  })
  const page = await readPage('exits/index.html', ['live'], onHost)
  return {
    '/index.html': page.replace('data-demo', `href="${demo}"`),
    '/exits.js': outputFiles[0].contents,
    '/exits.css': await readFile(at('exits.css')),
    '/style.css': await readFile(at('../style.css')),
    '/icon.svg': await readFile(at('../icon.svg')),
  }
}
