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
 * @param {URL | import('esbuild').StdinOptions} module A file, or text in a folder.
 * @param {import('esbuild').Plugin[]} [plugins]
 */
export async function bundleForPage(module, plugins = [strongroom]) {
  const result = await build({
    ...(module instanceof URL ? { entryPoints: [fileURLToPath(module)] } : { stdin: module }),
    bundle: true,
    format: 'esm',
    target: 'es2022',
    platform: 'browser',
    write: false,
    logLevel: 'error',
    plugins,
  })
  return result.outputFiles[0].text
}
