/** Loads modules of pkg/src in Node, which does not run TypeScript. */
import { build } from 'esbuild'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../', import.meta.url))

/**
 * Resolves with the exports of these modules. All of them are in one bundle, so they share their state.
 *
 * @param {...string} names Paths below pkg/src, such as `page/connection/state.ts`.
 */
export const load = async (...names) => import(await address(names))

let copies = 0

/** Does the same as `load`, but the modules are a copy with its own state, like those of another page. */
export const loadAgain = async (...names) => import(`${await address(names)}#${(copies += 1)}`)

async function address(names) {
  const { outputFiles } = await build({
    stdin: {
      contents: names.map((name) => `export * from './pkg/src/${name}'`).join('\n'),
      resolveDir: root,
    },
    bundle: true,
    external: ['node:*'],
    format: 'esm',
    write: false,
  })
  return `data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`
}
