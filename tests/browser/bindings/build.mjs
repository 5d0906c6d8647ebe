/** Bundles the apps for the tests of the bindings. */
import { build } from 'esbuild'
import { transformAsync } from '@babel/core'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('.', import.meta.url))
const dist = fileURLToPath(new URL('../../../pkg/dist/', import.meta.url))

/** Compiles Solid's JSX. */
const solid = (generate) => ({
  name: 'solid',
  setup: ({ onLoad }) =>
    onLoad({ filter: /\.jsx$/ }, async ({ path }) => {
      const options = {
        presets: [['solid', { generate, hydratable: true }]],
        babelrc: false,
        configFile: false,
      }
      const { code } = await transformAsync(await readFile(path, 'utf8'), { ...options, filename: path })
      return { contents: code, loader: 'js' }
    }),
})

const bindings = {
  name: 'strongroom',
  setup: ({ onResolve }) => {
    onResolve({ filter: /^strongroom\// }, ({ path }) => ({ path: `${dist}${path.split('/')[1]}.js` }))
  },
}

const bundle = async (file, options, generate) => {
  const result = await build({
    entryPoints: [`${here}${file}`],
    bundle: true,
    format: 'esm',
    target: 'es2022',
    write: false,
    logLevel: 'error',
    define: {
      'process.env.NODE_ENV': '"development"',
      __VUE_OPTIONS_API__: 'false',
      __VUE_PROD_DEVTOOLS__: 'false',
      __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false',
    },
    plugins: [bindings, solid(generate)],
    ...options,
  })
  return result.outputFiles[0].text
}

/** Resolves with the bundled script of an app. */
export const bundleApp = (file) =>
  bundle(file, { platform: 'browser', conditions: ['development', 'browser'] }, 'dom')

/** Bundles and imports the part of an app that runs on a server. */
export async function importServer(file) {
  const banner = `import { createRequire } from 'node:module'; const require = createRequire(${JSON.stringify(import.meta.url)});`
  const code = await bundle(file, { platform: 'node', conditions: ['node'], banner: { js: banner } }, 'ssr')
  return import(`data:text/javascript;base64,${Buffer.from(code).toString('base64')}`)
}
