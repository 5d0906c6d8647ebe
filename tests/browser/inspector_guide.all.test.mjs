// The apps of docs/inspector.md, with the code of the guide: plain, React and Vue.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { compileScript, parse } from 'vue/compiler-sfc'
import { htmlWith, startApp } from '../support/app.mjs'

const time = { timeout: 40_000 }
const root = fileURLToPath(new URL('../..', import.meta.url))

let app
let guide

before(async () => {
  guide = await readFile(`${root}docs/inspector.md`, 'utf8')
  app = await startApp({ config: { inspect: true } })
})
after(() => app?.close())

/** Returns the code block of the guide that has this text. */
const block = (text) => {
  const found = [...guide.matchAll(/```\w+\n(.*?)```/gs)].map(([, code]) => code)
  const [code] = found.filter((one) => one.includes(text))
  assert.ok(code, `the guide has no block with ${text}`)
  return code
}

/** Compiles a component with the option that the guide names. */
const compileVue = () => {
  assert.match(guide, /isCustomElement: \(tag\) => tag === 'strongroom-inspector'/)
  const isCustomElement = (tag) => tag === 'strongroom-inspector'
  const { descriptor } = parse(block('<script setup'), {
    filename: 'Inspector.vue',
    templateParseOptions: { isCustomElement },
  })
  const options = {
    id: 'inspector',
    inlineTemplate: true,
    templateOptions: { compilerOptions: { isCustomElement } },
  }
  return compileScript(descriptor, options).content
}

const FILES = {
  './auth': () => ({ contents: 'export const auth = globalThis.auth', loader: 'js' }),
  './inspector.js': () => ({ contents: block('// inspector.js'), loader: 'js' }),
  './Inspector': () => ({ contents: block('// src/Inspector.tsx'), loader: 'tsx' }),
  './Inspector.vue': () => ({ contents: compileVue(), loader: 'ts' }),
}

/** The files of the guide, and those of the package at their addresses in the app. */
const guided = {
  name: 'guide',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^strongroom\// }, ({ path }) => ({ path: `/${path}.js`, external: true }))
    onResolve({ filter: /^\.\// }, ({ path, importer }) =>
      importer.includes('node_modules')
        ? null
        : { path: path.replace('auth.js', 'auth'), namespace: 'guide' },
    )
    onLoad({ filter: /./, namespace: 'guide' }, ({ path }) => ({ ...FILES[path](), resolveDir: root }))
  },
}

const APPS = {
  plain: `import './inspector.js'`,
  React: `
    import { createElement, StrictMode } from 'react'
    import { createRoot } from 'react-dom/client'
    import { Inspector } from './Inspector'
    const root = createRoot(document.body.appendChild(document.createElement('div')))
    root.render(createElement(StrictMode, null, createElement(Inspector)))
    globalThis.unmount = () => root.unmount()`,
  'React, as JSX': `
    import { createElement } from 'react'
    import { createRoot } from 'react-dom/client'
    import { auth } from './auth'
    import 'strongroom/inspector'
    const root = createRoot(document.body.appendChild(document.createElement('div')))
    root.render(createElement('strongroom-inspector', { auth }))
    globalThis.unmount = () => root.unmount()`,
  Vue: `
    import { createApp } from 'vue'
    import Inspector from './Inspector.vue'
    const app = createApp(Inspector)
    app.mount(document.body.appendChild(document.createElement('div')))
    globalThis.unmount = () => app.unmount()`,
}

async function bundle(contents) {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: root },
    bundle: true,
    format: 'esm',
    target: 'es2022',
    jsx: 'automatic',
    write: false,
    logLevel: 'error',
    plugins: [guided],
    define: {
      'process.env.NODE_ENV': '"development"',
      __VUE_OPTIONS_API__: 'false',
      __VUE_PROD_DEVTOOLS__: 'false',
      __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false',
    },
  })
  return outputFiles[0].text
}

for (const [name, entry] of Object.entries(APPS)) {
  test(`${name}: the inspector shows the vault of the app`, time, async () => {
    app.site.files['/app.js'] = await bundle(entry)
    app.site.files['/page.js'] = `
import '/strongroom/inspector/record.js'
import '/tools.js'
globalThis.auth = createAuth({ shared: create.shared })
import('/app.js')
`
    app.site.files['/index.html'] = htmlWith('/page.js')
    const page = await app.open()
    const said = []
    page.on('console', (message) => /warning|error/.test(message.type()) && said.push(message.text()))
    page.on('pageerror', (error) => said.push(String(error)))
    await page.click('.toggle')
    await page.locator('.inspector', { hasText: 'Nobody is signed in' }).waitFor()
    await page.locator('.chips', { hasText: 'hello' }).waitFor()
    assert.equal(await page.locator('strongroom-inspector').count(), 1)
    const { tokens } = await page.evaluate(() => document.querySelector('strongroom-inspector').search())
    assert.deepEqual(tokens, [])
    await page.evaluate(() => globalThis.unmount?.())
    await page.waitForFunction(
      (count) => document.querySelectorAll('strongroom-inspector').length === count,
      entry.includes('unmount') ? 0 : 1,
    )
    // The guide names this warning, which the trap of a proxy prints.
    const isOfTrap = (text) => text.startsWith('[Vue warn]: Avoid app logic that relies on enumerating keys')
    assert.deepEqual(
      said.filter((text) => !isOfTrap(text)),
      [],
    )
    await page.context().close()
  })
}
