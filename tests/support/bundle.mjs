import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

/** The package stays a file of the site, so that the page has only one copy of it. */
const strongroom = {
  name: 'strongroom',
  setup: ({ onResolve }) =>
    onResolve({ filter: /^strongroom$/ }, () => ({ path: '/strongroom/index.js', external: true })),
}

/**
 * Bundles a module for a page of `startApp()`, with the libraries that it imports.
 *
 * @param {URL} module
 */
export async function bundleForPage(module) {
  const result = await build({
    entryPoints: [fileURLToPath(module)],
    bundle: true,
    format: 'esm',
    target: 'es2022',
    platform: 'browser',
    write: false,
    logLevel: 'error',
    plugins: [strongroom],
  })
  return result.outputFiles[0].text
}
