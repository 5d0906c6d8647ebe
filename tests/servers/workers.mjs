import { build } from 'esbuild'
import { Miniflare } from 'miniflare'
import { install, versionOf } from './install.mjs'
import { fillForm } from './sign_in.mjs'

/** @type {import('./driver.mjs').Server} */
export const workers = {
  name: '@cloudflare/workers-oauth-provider',
  start,
  signIn: fillForm,
  config: () => ({ scope: 'orders', identity: 'none' }),
  api: '/api/me',
  features: { clientAuth: ['client_secret_basic', 'client_secret_post'] },
  expected: {
    refresh: 'rotates',
    'second refresh': 'rotates',
    'old refresh token': '400 invalid_grant',
    'refresh after it': 'works',
    'lost response': 'continues',
    'revoked at the server': '400 invalid_grant: provider_ended',
    logout: 'revokes: 400 invalid_grant',
  },
}

/** Starts the server in Cloudflare's runtime, and creates its clients. */
async function start(setup) {
  const folder = await install('workers')
  const outfile = `${folder}/bundled.mjs`
  await build({
    entryPoints: [`${folder}/worker.mjs`],
    outfile,
    bundle: true,
    format: 'esm',
    external: ['cloudflare:workers'],
  })
  const runtime = new Miniflare({
    host: '127.0.0.1',
    port: 0,
    modules: [{ type: 'ESModule', path: outfile }],
    modulesRoot: folder,
    compatibilityDate: '2026-04-01',
    bindings: { SETUP: JSON.stringify(setup) },
    kvNamespaces: ['OAUTH_KV'],
    // The library writes each refusal to the console.
    handleStructuredLogs() {},
  })
  const { origin } = await runtime.ready
  const clients = await (await fetch(`${origin}/clients`)).json()
  const version = await versionOf('workers', '@cloudflare/workers-oauth-provider')
  return { origin, version, clients, stop: () => runtime.dispose() }
}
