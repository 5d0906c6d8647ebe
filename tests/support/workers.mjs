/** Service workers that apps use: Workbox and Angular's. */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { installLocked, root } from '../packaging/tarball.mjs'

const fixtures = fileURLToPath(new URL('../edge/workers/', import.meta.url))
const folder = `${root}target/workers`

/** The folder of the installed packages, with a slash at its end. */
export const modules = `${folder}/node_modules/`

/** Installs the packages, unless they are already installed. Resolves with functions that return the files of a site. */
export async function installWorkers() {
  // Angular's worker needs no other package of Angular.
  await installLocked(fixtures, folder, '--legacy-peer-deps')
  const read = (path) => readFile(modules + path, 'utf8')
  const parts = ['core', 'precaching', 'routing', 'strategies'].map((name) => `workbox-${name}`)
  const workboxFiles = { '/workbox-sw.js': await read('workbox-sw/build/workbox-sw.js') }
  for (const name of parts) {
    workboxFiles[`/workbox/${name}.prod.js`] = await read(`${name}/build/${name}.prod.js`)
  }
  const angular = await read('@angular/service-worker/ngsw-worker.js')
  const { Generator } = await import(`${modules}@angular/service-worker/fesm2022/config.mjs`)

  return {
    /**
     * Returns the files of a site with Workbox, which has the page at `shell` in its cache.
     *
     * @param {string} shell
     * @param {string} routes Calls of Workbox that define the routes.
     */
    workbox: (shell, routes) => ({
      ...workboxFiles,
      '/sw.js': `
importScripts('/workbox-sw.js')
workbox.setConfig({ modulePathPrefix: '/workbox/', debug: false })
workbox.core.clientsClaim()
skipWaiting()
workbox.precaching.precacheAndRoute([{ url: '${shell}', revision: '1' }])
${routes}`,
    }),
    /**
     * Resolves with the files of a site with Angular's service worker, which has the page at `shell` in its cache.
     *
     * @param {string} shell
     * @param {string} content The page's content.
     * @param {object} [config] More members of `ngsw-config.json`.
     */
    async ngsw(shell, content, config = {}) {
      const files = { list: async () => [shell], read: async () => content, hash: async () => sha1(content) }
      const group = { name: 'app', installMode: 'prefetch', resources: { files: [shell] } }
      const manifest = await new Generator(files, '/').process({
        index: shell,
        assetGroups: [group],
        ...config,
      })
      return { '/sw.js': angular, '/ngsw.json': JSON.stringify(manifest) }
    },
  }
}

const sha1 = (text) => createHash('sha1').update(text).digest('hex')
