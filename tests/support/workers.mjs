/** Service workers that apps use: Workbox and Angular's. */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { installLocked, root } from '../packaging/tarball.mjs'

const fixtures = fileURLToPath(new URL('../edge/workers/', import.meta.url))
const folder = `${root}target/workers`

/** Installs the packages, unless they are already installed. Resolves with functions that return the files of a site. */
export async function installWorkers() {
  // Angular's worker needs no other package of Angular.
  await installLocked(fixtures, folder, '--legacy-peer-deps')
  const read = (path) => readFile(`${folder}/node_modules/${path}`, 'utf8')
  const modules = ['core', 'precaching', 'routing', 'strategies'].map((name) => `workbox-${name}`)
  const workboxFiles = { '/workbox-sw.js': await read('workbox-sw/build/workbox-sw.js') }
  for (const name of modules) {
    workboxFiles[`/workbox/${name}.prod.js`] = await read(`${name}/build/${name}.prod.js`)
  }
  const angular = await read('@angular/service-worker/ngsw-worker.js')

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
     * Returns the files of a site with Angular's service worker, which has the page at `shell` in its cache.
     *
     * @param {string} shell
     * @param {string} content The page's content.
     * @param {string[]} excluded The patterns of `navigationUrls` that begin with an exclamation mark, such as `/auth/**`.
     */
    ngsw: (shell, content, excluded) => ({
      '/sw.js': angular,
      '/ngsw.json': JSON.stringify({
        configVersion: 1,
        timestamp: 1,
        index: shell,
        assetGroups: [
          {
            name: 'app',
            installMode: 'prefetch',
            updateMode: 'prefetch',
            cacheQueryOptions: { ignoreVary: true },
            urls: [shell],
            patterns: [],
          },
        ],
        dataGroups: [],
        hashTable: { [shell]: createHash('sha1').update(content).digest('hex') },
        navigationUrls: [
          { positive: true, regex: '^\\/.*$' },
          ...excluded.map((pattern) => ({
            positive: false,
            regex: `^${pattern.replaceAll('/', '\\/').replace('**', '.*')}$`,
          })),
        ],
        navigationRequestStrategy: 'performance',
      }),
    }),
  }
}
