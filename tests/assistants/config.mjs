/** The configuration of an app, for the doctor. */
import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { build } from 'esbuild'

/** The places where the documents put it. */
const PLACES = ['auth.config.ts', 'src/auth.config.ts', 'auth.config.mjs', 'auth.config.js', 'handler.ts']

/**
 * Resolves with the path of the app's configuration as JavaScript, since not every Node reads TypeScript. The file is
 * beside the original, which may read other files.
 */
export async function bundleConfig(folder) {
  const place = PLACES.find((path) => existsSync(`${folder}/${path}`))
  if (!place) return undefined
  const outfile = `${folder}/${dirname(place)}/auth.config.checked.mjs`
  await build({
    entryPoints: [`${folder}/${place}`],
    bundle: true,
    format: 'esm',
    outfile,
    packages: 'external',
  })
  return outfile
}
