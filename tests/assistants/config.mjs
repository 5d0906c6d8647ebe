/** The configuration of an app, for the doctor. */
import { existsSync } from 'node:fs'
import { build } from 'esbuild'

/** The places where the documents put it. */
const PLACES = ['auth.config.ts', 'src/auth.config.ts', 'auth.config.mjs', 'auth.config.js']

/** Resolves with the path of the app's configuration as JavaScript, since not every Node reads TypeScript. */
export async function bundleConfig(folder) {
  const place = PLACES.find((path) => existsSync(`${folder}/${path}`))
  if (!place) return undefined
  const outfile = `${folder}/node_modules/.checked/auth.config.mjs`
  await build({
    entryPoints: [`${folder}/${place}`],
    bundle: true,
    format: 'esm',
    outfile,
    packages: 'external',
  })
  return outfile
}
