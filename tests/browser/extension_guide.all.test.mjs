// The scripts of docs/extensions.md, bundled as the guide says, in a real extension. The API does not allow the extension's
// origin (CORS), so the manifest lists it in `host_permissions`.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { giveConsent } from '../support/app.mjs'
import { startExtension } from '../support/extension.mjs'

const time = { timeout: 60_000 }
const root = new URL('../../', import.meta.url)
const POPUP = `<!doctype html>
<button id="sign-in">Sign in</button><button id="sign-out">Sign out</button><output></output>
<script type="module" src="popup.js"></script>
`

/** Returns the guide's scripts by their names, and its manifest. */
function read(guide) {
  const blocks = [...guide.matchAll(/^```(js|json)\n(.*?)^```$/gms)].map(([, , code]) => code)
  const scripts = blocks.map((code) => [/^\/\/ ([\w.]+)\n/.exec(code)?.[1], code])
  return {
    manifest: JSON.parse(blocks[0]),
    scripts: Object.fromEntries(scripts.filter(([name]) => name)),
  }
}

/** Bundles a script, whose imports are scripts of the guide or files of the package. */
async function bundle(scripts, name) {
  const file = (path) => fileURLToPath(new URL(path, root))
  const { outputFiles } = await build({
    stdin: { contents: scripts[name], resolveDir: file('.') },
    bundle: true,
    format: 'esm',
    write: false,
    alias: {
      'strongroom/extension': file('pkg/dist/extension.js'),
      'strongroom/worker': file('pkg/dist/worker.js'),
    },
    plugins: [
      {
        name: 'guide',
        setup({ onResolve, onLoad }) {
          onResolve({ filter: /^\.\/auth\.js$/ }, ({ path }) => ({ path: path.slice(2), namespace: 'guide' }))
          onLoad({ filter: /./, namespace: 'guide' }, ({ path }) => ({
            contents: scripts[path],
            resolveDir: file('.'),
          }))
        },
      },
    ],
  })
  return outputFiles[0].text
}

let extension

before(async () => {
  const { manifest, scripts } = read(await readFile(new URL('docs/extensions.md', root), 'utf8'))
  const names = ['auth.worker.js', 'offscreen.js', 'background.js', 'popup.js']
  const bundled = await Promise.all(names.map((name) => bundle(scripts, name)))
  extension = await startExtension({
    servers: { api: { allowedOrigins: [] } },
    manifest: { ...manifest, host_permissions: ['http://127.0.0.1/*'] },
    files: { ...Object.fromEntries(names.map((name, i) => [name, bundled[i]])), 'popup.html': POPUP },
    adapt: (text, { id, provider, api, clientId }) =>
      text
        .replaceAll('https://id.example.com', provider.issuer)
        .replaceAll('https://api.example.com', api.origin)
        .replaceAll('abcdefghijklmnopabcdefghijklmnop', id)
        .replace(/clientId: "extension"/, `clientId: "${clientId}"`)
        .replace(/scope: "[^"]+"/, 'scope: "openid profile offline_access orders", consent: "always"'),
  })
})
after(() => extension?.close())

test('the popup signs in, calls the API and signs out', time, async () => {
  const popup = await extension.open()
  const output = popup.locator('output')
  await output.getByText('Nobody is signed in.').waitFor()
  const opened = extension.context.waitForEvent('page')
  await popup.click('#sign-in')
  await giveConsent(await opened)
  await output.getByText('Brass hinges').waitFor()
  await popup.click('#sign-out')
  await output.getByText('Nobody is signed in.').waitFor()
  assert.deepEqual(
    extension.ledger.tokenRequests().map(({ grant, outcome }) => [grant, outcome]),
    [['authorization_code', 'issued']],
  )
})
