/** A published Storybook with the guide's loader and decorator, opened over https. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { extname } from 'node:path'
import { launchBrowser } from '../support/browser.mjs'
import { TYPES } from '../support/site.mjs'
import { authConfig } from './auth_config.mjs'
import { readGuide } from './guide.mjs'
import { checkTypes, createProject, runScript, versionOf, write } from './project.mjs'

const guide = await readGuide('docs/testing-your-app.md')

/** The origin of the published Storybook. The browser gets its files from the build. */
const ORIGIN = 'https://storybook.example'
const ALLOW = ', allowHttps: true'

/** Builds Storybook and checks the text of two stories. Resolves with Storybook's version. */
async function runStorybook({ tarball }, change = (preview) => preview) {
  const folder = await createProject('storybook', tarball)
  await write(folder, {
    '.storybook/preview.tsx': change(guide.block('loaders:', 'Storybook')),
    'src/auth.config.ts': await authConfig(),
  })
  await checkTypes(folder, ['.storybook/preview.tsx'])
  await runScript(folder, 'node_modules/storybook/dist/bin/dispatcher.js', ['build', '--quiet'], { node: 24 })
  const browser = await launchBrowser()
  try {
    const context = await browser.newContext()
    await context.route('**/*', (route) => serve(route, `${folder}/storybook-static`))
    const page = await context.newPage()
    assert.equal(await textOf(page, 'user--signed-out'), 'nobody, connected')
    assert.equal(await textOf(page, 'user--signed-in', 'Alice'), 'Alice')
  } finally {
    await browser.close()
  }
  return versionOf(folder, 'storybook')
}

async function serve(route, folder) {
  const { pathname } = new URL(route.request().url())
  const body = await readFile(folder + pathname).catch(() => null)
  if (!body) return route.fulfill({ status: 404 })
  return route.fulfill({ body, contentType: TYPES[extname(pathname)] ?? 'application/octet-stream' })
}

/** Resolves with the text of a story, or rejects with the error that Storybook shows. */
async function textOf(page, id, expected = '') {
  await page.goto(`${ORIGIN}/iframe.html?id=${id}&viewMode=story`)
  const story = page.locator('#user', { hasText: expected })
  const shown = page.locator('#error-message:visible')
  await story.or(shown).first().waitFor({ timeout: 20_000 })
  if (await shown.count()) throw new Error(await shown.textContent())
  return story.textContent()
}

export const RECIPES = [
  { name: 'Storybook', node: 24, run: (tools) => runStorybook(tools) },
  {
    name: 'Storybook without allowHttps',
    node: 24,
    fails: /allowHttps: true/,
    run: (tools) =>
      runStorybook(tools, (preview) => {
        assert.ok(preview.includes(ALLOW))
        return preview.replace(ALLOW, '')
      }),
  },
]
