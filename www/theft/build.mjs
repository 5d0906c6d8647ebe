import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { BUNDLE } from '../bundle.mjs'
import { onHost, readPage } from '../page.mjs'
import { CALLS } from './thief.mjs'

const at = (path) => new URL(path, import.meta.url)

/**
 * Bundles the script of the theft's page.
 *
 * @param {object} addresses
 * @param {string} addresses.api The API's base URL, ending in `/`.
 * @param {string} addresses.demo The origin of the demo's first page.
 * @returns {Promise<import('../build.mjs').Files>} The files of the theft's origin, by path.
 */
export async function buildTheft({ api, demo }) {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(at('theft.ts'))],
    ...BUNDLE,
    define: { API: JSON.stringify(api), CALLS: String(CALLS) },
  })
  const page = await readPage('theft/index.html', ['live'], onHost)
  return {
    '/index.html': page.replace('data-demo', `href="${demo}"`),
    '/theft.js': outputFiles[0].contents,
    '/theft.css': await readFile(at('theft.css')),
    '/style.css': await readFile(at('../style.css')),
    '/icon.svg': await readFile(at('../icon.svg')),
  }
}
