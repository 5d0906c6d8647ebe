// The public page with a sign-in button in docs/login.md: its code is taken from the document, bundled, and used in
// Chromium with a real vault.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { readGuide } from '../recipes/guide.mjs'
import { giveConsent, startApp } from '../support/app.mjs'

const time = { timeout: 60_000 }
const root = fileURLToPath(new URL('../../', import.meta.url))

let app, guide

before(async () => {
  app = await startApp()
  guide = await readGuide('docs/login.md')
  app.site.routes['/callback'] = '/index.html'
})
after(() => app?.close())

/** Lets `./auth` be the object of the page, and `strongroom/…` the built package. */
const modules = {
  name: 'modules',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^\.\/auth$/ }, ({ path }) => ({ path, namespace: 'auth' }))
    onLoad({ filter: /.*/, namespace: 'auth' }, () => ({ contents: 'export const auth = globalThis.auth' }))
    onResolve({ filter: /^strongroom\// }, ({ path }) => ({
      path: `${root}pkg/dist/${path.split('/')[1]}.js`,
    }))
  },
}

/** Resolves with a page's script that runs this code with `auth`. */
async function script(contents, start = '') {
  const { outputFiles } = await build({
    stdin: { contents: contents + start, loader: 'tsx', resolveDir: root },
    bundle: true,
    format: 'esm',
    target: 'es2022',
    jsx: 'automatic',
    write: false,
    logLevel: 'error',
    define: { 'process.env.NODE_ENV': '"production"' },
    plugins: [modules],
  })
  app.site.files['/landing.js'] = outputFiles[0].text
  return `import '/tools.js'\nglobalThis.auth = createAuth({ shared: create.shared })\nawait import('/landing.js')\n`
}

const PAGES = {
  'without a framework': async () => {
    const html = guide.block('id="sign-in"')
    return `document.body.innerHTML = ${JSON.stringify(html)}\n${await script(guide.block("'sign-in').onclick"))}`
  },
  'in React': () =>
    script(
      guide.block('export const Landing'),
      `import { createRoot } from 'react-dom/client'
      createRoot(document.body.appendChild(document.createElement('div'))).render(<Landing />)`,
    ),
}

for (const [name, scriptOf] of Object.entries(PAGES)) {
  test(`public page signs in and out by buttons ${name}`, time, async (t) => {
    app.site.files['/page.js'] = await scriptOf()
    const page = await app.open('/empty')
    t.after(() => page.context().close())
    const failures = []
    page.on('pageerror', (error) => failures.push(String(error)))
    await page.goto(`${app.site.origin}/?lamp=1`)
    const button = (label) => page.getByRole('button', { name: label, exact: true })
    await button('Sign in').waitFor()
    assert.equal(await button('Sign out').count(), 0)
    await button('Sign in').click()
    await giveConsent(page)
    await button('Sign out').waitFor()
    await page.waitForURL(`${app.site.origin}/?lamp=1`)
    const name = await page.evaluate(() => auth.state.session.claims.name)
    assert.ok(name && (await page.innerText('body')).includes(name))
    assert.equal(await button('Sign in').count(), 0)
    await button('Sign out').click()
    await button('Sign in').waitFor()
    assert.deepEqual(failures, [])
  })
}
