/**
 * Builds the documentation site into target/docs/site. `cargo xtask docs` runs this script, which installs VitePress on
 * first use.
 *
 *   node www/docs/build.mjs [<origin of the site>]
 *
 * With an origin, the site also has `sitemap.xml` and names the address of each page.
 *
 * VitePress is pinned to 2.0.0-alpha.20: version 1 has Vite 5, which the project does not use elsewhere, and alpha.21 could
 * not be installed on 25 November 2026. A newer one may have other inline scripts, style attributes or roles, which
 * finish.mjs, check.mjs and .vitepress/repairs.mjs then report.
 */
import { existsSync } from 'node:fs'
import { copyFile, cp, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { installLocked } from '../../tests/support/install.mjs'
import { check } from './check.mjs'
import { finish } from './finish.mjs'
import { front } from './front.mjs'
import { FRONT, fileOf, listPages, read, resolve, root } from './pages.mjs'
import { PICTURE } from './links.mjs'
import { OUTPUT, PAGES, PARTS } from './places.mjs'

const at = (path) => fileURLToPath(new URL(path, import.meta.url))

/** Copies the pages, and the pictures that they show, into a folder with the paths of the repository. */
async function copyPages(pages) {
  await rm(PAGES, { recursive: true, force: true })
  const write = async (page, text) => {
    await mkdir(dirname(PAGES + page), { recursive: true })
    await writeFile(PAGES + page, text)
  }
  for (const page of pages.keys()) {
    const text = page === FRONT ? await front() : await read(page)
    await write(page, text)
    for (const [, target] of text.matchAll(/!\[[^\]]*\]\(([^)\s]+)\)/g)) {
      if (!PICTURE.test(target) || target.includes(':')) continue
      const picture = resolve(page, target)
      await mkdir(dirname(PAGES + picture), { recursive: true })
      await copyFile(fileOf(picture), PAGES + picture)
    }
  }
  await mkdir(`${PAGES}public`, { recursive: true })
  await copyFile(at('../icon.svg'), `${PAGES}public/icon.svg`)
}

async function build() {
  const start = performance.now()
  await installLocked(new URL('./', import.meta.url))
  const { pages, hasReference } = await listPages()
  await copyPages(pages)
  await rm(OUTPUT, { recursive: true, force: true })
  const [, , origin] = process.argv
  if (origin) process.env.SITE_ORIGIN = origin
  // VitePress looks for packages in the working directory.
  process.chdir(at('.'))
  const { build: vitepress } = await import('vitepress')
  await vitepress(at('.'), { onAfterConfigResolve() {} })
  for (const { name, folder } of PARTS) {
    if (existsSync(folder)) await cp(folder, `${OUTPUT}/${name}`, { recursive: true })
  }
  await finish(pages)
  const faults = await check()
  if (faults.length) {
    throw new Error(`the site has ${faults.length} faults:\n  ${faults.join('\n  ')}`)
  }
  const files = await readdir(OUTPUT, { recursive: true })
  const seconds = ((performance.now() - start) / 1000).toFixed(1)
  const left = hasReference ? '' : ', without the reference, which `cargo xtask reference` writes'
  const count = files.filter((file) => file.endsWith('.html')).length
  console.log(`  ${count} pages in ${seconds} s${left}`)
}

try {
  await build()
} catch (error) {
  console.error(error.stack ?? error)
  process.exitCode = 1
}
