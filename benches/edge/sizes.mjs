/**
 * Measures the sizes of deployments: one minified script with everything that an app imports, and the wasm module
 * beside it.
 */
import { build } from 'esbuild'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { aimOf } from '../downloads.mjs'
import { table } from '../table.mjs'

const KB = 1024
const root = fileURLToPath(new URL('../..', import.meta.url))

/** The aim of the bundle, in bytes of gzip. */
export const AIM = aimOf('strongroom/edge, on a server') * KB

const OWN = {
  name: 'strongroom/edge',
  code: `export { createTokenHandler, durableObject, StrongroomSessions } from './dist/edge.workerd.js'`,
  wasm: 'strongroom_edge_bg.wasm',
}

/** Libraries with which an app could implement a token handler, or parts of one. */
const PEERS = [
  {
    name: 'oauth4webapi, iron-webcrypto',
    code: `export * from 'oauth4webapi'; export { seal, unseal, defaults } from 'iron-webcrypto'`,
  },
  {
    name: '@hono/oidc-auth, hono',
    code: `export { Hono } from 'hono'; export * from '@hono/oidc-auth'`,
  },
  { name: '@auth/core', code: `export { Auth } from '@auth/core'` },
]

async function measure({ name, code, wasm }, dist) {
  const { outputFiles } = await build({
    stdin: { contents: code.replace('./dist', dist), resolveDir: root },
    bundle: true,
    format: 'esm',
    target: 'es2022',
    platform: 'neutral',
    mainFields: ['module', 'main'],
    conditions: ['workerd', 'worker', 'import', 'module'],
    // The platform provides these modules, some of them only with the flag `nodejs_compat`.
    external: ['*.wasm', 'node:*'],
    minify: true,
    legalComments: 'none',
    charset: 'utf8',
    write: false,
    logLevel: 'error',
  })
  const files = [outputFiles[0].contents]
  if (wasm) files.push(await readFile(`${dist}/${wasm}`))
  const sizes = files.map((file) => ({ raw: file.length, gzip: gzipSync(file, { level: 9 }).length }))
  const sum = (key) => sizes.reduce((total, size) => total + size[key], 0)
  return { name, raw: sum('raw'), gzip: sum('gzip'), script: sizes[0].gzip, wasm: sizes[1]?.gzip }
}

export const measureOwn = (dist = `${root}pkg/dist`) => measure(OWN, dist)

export const measurePeers = () => Promise.all(PEERS.map((peer) => measure(peer, `${root}pkg/dist`)))

export function sizeTable(own, peers, options) {
  const kilobytes = (bytes) => (bytes === undefined ? '' : (bytes / KB).toFixed(2))
  const cells = [own, ...peers].map(({ name, raw, script, wasm, gzip }) => [
    name,
    ...[raw, script, wasm, gzip].map(kilobytes),
    name === own.name ? '' : `${(own.gzip / gzip).toFixed(2)}x`,
  ])
  const head = ['KB (1024 bytes)', 'raw', 'script, gzip', 'wasm, gzip', 'together, gzip', 'ours to it']
  return table(head, cells, { ...options, numbers: true })
}
