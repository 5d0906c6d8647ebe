/** The libraries that are compared, and their pages. */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { PINNED } from './packages.mjs'
import { coreModule } from '../site.mjs'

/**
 * `lifetime` is the lifetime of access tokens in seconds: as short as the library permits, because the command waits
 * for their end. auth0-spa-js renews 60 seconds ahead, and oidc-spa 30 seconds; neither has an option for that.
 */
export const CONTENDERS = {
  strongroom: { page: 'strongroom', lifetime: 20 },
  'auth0-spa-js': { page: 'auth0-spa-js', package: '@auth0/auth0-spa-js', lifetime: 75, hasSlash: true },
  'oidc-client-ts': { page: 'oidc-client-ts', package: 'oidc-client-ts', lifetime: 20 },
  '@axa-fr/oidc-client': { page: 'axa', package: '@axa-fr/oidc-client', lifetime: 20 },
  'oidc-spa': { page: 'oidc-spa', package: 'oidc-spa', lifetime: 50 },
}

const HTML = (page) => `<!doctype html>
<html lang="en">
  <meta charset="utf-8">
  <title>${page}</title>
  <link rel="icon" href="data:,">
  <body></body>
  <script type="module" src="/${page}.js"></script>
</html>
`

/** Lets esbuild take the compared packages from this folder, and not from this project. */
const packagesFrom = (folder) => ({
  name: 'compared packages',
  setup({ onResolve, resolve }) {
    const names = Object.keys(PINNED).join('|').replaceAll('/', '\\/')
    onResolve({ filter: new RegExp(`^(${names})(\\/|$)`) }, ({ path, kind, pluginData }) =>
      pluginData === folder ? undefined : resolve(path, { kind, resolveDir: folder, pluginData: folder }),
    )
  },
})

/** Resolves with the files of a contender's site by path, without `/config.js`. */
export async function filesOf({ page }, folder) {
  const worker = page === 'strongroom' ? ['strongroom.worker.js'] : []
  const { outputFiles } = await build({
    absWorkingDir: fileURLToPath(new URL('contenders/', import.meta.url)),
    entryPoints: [`${page}.js`, ...worker],
    outdir: 'out',
    bundle: true,
    splitting: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    external: ['/config.js'],
    plugins: [packagesFrom(folder)],
    logLevel: 'warning',
  })
  const axa = `${folder}node_modules/@axa-fr/oidc-client-service-worker/dist/OidcServiceWorker.js`
  return {
    '/index.html': HTML(page),
    ...Object.fromEntries(outputFiles.map(({ path, contents }) => [`/${path.split('/').at(-1)}`, contents])),
    ...(page === 'strongroom' && (await coreModule())),
    ...(page === 'axa' && { '/OidcServiceWorker.js': await readFile(axa) }),
  }
}
