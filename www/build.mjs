/**
 * Bundles the scripts of the demo's pages and its worker. As in an app's build, the bundles contain the servers' URLs,
 * so the ports must be known before the build.
 *
 * When run directly, this script checks the types, and writes the site for the demo's usual ports to www/dist, and the
 * static pages to target/static (static/write.mjs).
 */
import { execFile } from 'node:child_process'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { dist } from '../tests/support/dist.mjs'
import { CLIENT_ID } from '../tests/support/servers.mjs'
import { BUNDLE } from './bundle.mjs'
import { onHost, readPage } from './page.mjs'

/** The usual ports of `cargo xtask demo`. If a port is taken, the demo uses another one. */
export const PORTS = {
  site: 4400,
  provider: 4401,
  api: 4402,
  vault: 4403,
  comparison: 4404,
  theft: 4405,
  exits: 4406,
}

/** The comparison's client at the provider. */
export const COMPARISON_ID = 'local-storage'

const at = (path) => new URL(path, import.meta.url)

/** The issuer in auth.metadata.ts, which has the usual port. */
const USUAL_ISSUER = `http://127.0.0.1:${PORTS.provider}`

/** Writes the issuer's own address into its pinned metadata: the demo's provider may have any port. */
const pinnedFor = (issuer) => ({
  name: 'pinned',
  setup({ onLoad }) {
    onLoad({ filter: /\/auth\.metadata\.ts$/ }, async ({ path }) => ({
      contents: (await readFile(path, 'utf8')).replaceAll(USUAL_ISSUER, issuer),
      loader: 'ts',
    }))
  },
})

/**
 * @param {object} addresses
 * @param {string} addresses.issuer
 * @param {string} addresses.api The API's base URL, ending in `/`.
 * @param {string} addresses.comparison The comparison's origin.
 * @param {string} addresses.exits The origin of the page of the exits (exits/start.mjs).
 * @param {string} [addresses.app] The app's origin, if the vault has its own origin.
 * @param {string} [addresses.vault] The vault's origin, if the vault has its own origin.
 * @param {string} [addresses.handler] Path of the token handler's endpoints, if the demo has a token handler instead of
 *   a vault.
 * @param {string} [addresses.theft] The origin of the page of the theft (theft/start.mjs), if the demo has it.
 * @returns {Promise<{ site: Files, vault: Files, comparison: Files }>} The files of each origin, by path.
 *
 * @typedef {Record<string, string | Uint8Array>} Files
 */
export async function buildSite({ issuer, api, comparison, exits, app = '', vault, handler = '', theft }) {
  const { outputFiles } = await build({
    absWorkingDir: fileURLToPath(at('.')),
    entryPoints: ['app.ts', 'auth.worker.ts', 'frame.ts', 'callback.ts', 'local-storage.ts'],
    ...BUNDLE,
    plugins: [pinnedFor(issuer)],
    define: {
      ISSUER: JSON.stringify(issuer),
      CLIENT_ID: JSON.stringify(CLIENT_ID),
      COMPARISON: JSON.stringify(comparison),
      COMPARISON_ID: JSON.stringify(COMPARISON_ID),
      API: JSON.stringify(api),
      APP: JSON.stringify(app),
      FRAME: JSON.stringify(vault ? `${vault}/frame.html` : ''),
      HANDLER: JSON.stringify(handler),
    },
  })
  const files = Object.fromEntries(
    outputFiles.map(({ path, contents }) => [`/${path.split('/').at(-1)}`, contents]),
  )
  const page = await readPage('index.html', theft ? ['live', 'theft'] : ['live'], onHost, (config) =>
    config.replace(/http:\/\/127\.0\.0\.1:4402\/v1\//g, api).replace(USUAL_ISSUER, issuer),
  )
  files['/index.html'] = page
    .replace('data-theft', `href="${theft}"`)
    .replace('data-exits', `href="${exits}"`)
  files['/local-storage.html'] = await readPage('local-storage.html', ['live'], onHost)
  const names = ['style.css', 'icon.svg', 'dial.svg', 'frame.html', 'callback.html']
  for (const name of names) files[`/${name}`] = await readFile(at(name))
  files['/strongroom_bg.wasm'] = await readFile(new URL('strongroom_bg.wasm', dist))
  const take = (paths) => Object.fromEntries(paths.map((path) => [path, files[path]]))
  const ofApp = ['/index.html', '/style.css', '/icon.svg', '/dial.svg', '/app.js']
  const ofVault = ['/auth.worker.js', '/strongroom_bg.wasm']
  const pages = ['/frame.html', '/frame.js', '/callback.html', '/callback.js']
  return {
    site: take(vault || handler ? ofApp : [...ofApp, ...ofVault]),
    vault: vault ? take([...ofVault, ...pages]) : {},
    comparison: take(['/local-storage.html', '/local-storage.js', '/style.css']),
  }
}

async function main() {
  const { writeStatic } = await import('./static/write.mjs')
  const tsc = fileURLToPath(at('../node_modules/typescript/bin/tsc'))
  const check = promisify(execFile)(process.execPath, [tsc, '--project', fileURLToPath(at('.'))])
  const [issuer, api] = [PORTS.provider, PORTS.api].map((port) => `http://127.0.0.1:${port}`)
  const [comparison, exits] = [PORTS.comparison, PORTS.exits].map((port) => `http://localhost:${port}`)
  const { site: files } = await buildSite({ issuer, api: `${api}/v1/`, comparison, exits })
  await rm(at('dist'), { recursive: true, force: true })
  await mkdir(at('dist'))
  for (const [path, bytes] of Object.entries(files)) await writeFile(at(`dist${path}`), bytes)
  await writeStatic()
  await check
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  main().catch((error) => {
    console.error(error.stdout ?? error)
    process.exitCode = 1
  })
}
