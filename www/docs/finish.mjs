/**
 * Writes what VitePress does not: the headers with the hashes of inline scripts, each page as Markdown, and the lists for
 * assistants (https://llmstxt.org).
 */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { copyFile, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { llms, withoutComments } from '../../pkg/assistants.mjs'
import { PICTURE, withAddresses } from './links.mjs'
import {
  FRONT,
  INDEX,
  INTERNALS,
  REFERENCE,
  fileOf,
  inOrder,
  listSections,
  markdownOf,
  read,
  readReadme,
  resolve,
} from './pages.mjs'
import { OUTPUT, PAGES, PARTS } from './places.mjs'

/** Matches a script with its content in the page. */
const INLINE_SCRIPT = /<script(?![^>]*\bsrc=)([^>]*)>(.*?)<\/script>/gs

/** The scripts that VitePress puts into pages. Any other one would be a surprise. */
const EXPECTED = ['check-dark-mode', 'check-mac-os']

/**
 * Matches the two style attributes in VitePress's pages, which can be left out: style.css gives the page's content its
 * position, and the theme's script sets the length when it needs it.
 */
const STYLE = / style="(--vp-vh:0px|position:relative);?"/g

/** Resolves with the paths of the pages that VitePress wrote. */
const htmlFiles = async () => {
  const files = await readdir(OUTPUT, { recursive: true })
  const isOther = (file) => PARTS.some(({ name }) => file.startsWith(`${name}/`))
  return files.filter((file) => file.endsWith('.html') && !isOther(file))
}

/** Removes the style attributes from the pages. Resolves with the sources of their inline scripts for a policy. */
async function inlineScripts() {
  const hashes = new Set()
  for (const file of await htmlFiles()) {
    const html = await readFile(`${OUTPUT}/${file}`, 'utf8')
    await writeFile(`${OUTPUT}/${file}`, html.replace(STYLE, ''))
    for (const [, attributes, script] of html.matchAll(INLINE_SCRIPT)) {
      const [, id] = /\bid="([^"]*)"/.exec(attributes) ?? []
      if (!EXPECTED.includes(id))
        throw new Error(`${file} has an inline script that is not known: ${script.slice(0, 80)}`)
      hashes.add(`'sha256-${createHash('sha256').update(script).digest('base64')}'`)
    }
  }
  return [...hashes].sort()
}

/**
 * Returns the headers of the pages, which are those of docs/deployment.md with the differences of a site that has no
 * vault: no worker, and requests only to its own origin. `default-src` is not `'none'`, because browsers compare the
 * hints with which VitePress loads the next page with this directive.
 */
function pageHeaders(scripts) {
  const policy = {
    'default-src': "'self'",
    'script-src': ["'self'", ...scripts].join(' '),
    'style-src': "'self'",
    'img-src': "'self' data:",
    'connect-src': "'self'",
    'font-src': "'none'",
    'frame-src': "'none'",
    'media-src': "'none'",
    'object-src': "'none'",
    'worker-src': "'none'",
    'base-uri': "'none'",
    'form-action': "'none'",
    'frame-ancestors': "'none'",
    'require-trusted-types-for': "'script'",
    'trusted-types': 'vue',
  }
  return {
    'Content-Security-Policy': Object.entries(policy)
      .map((directive) => directive.join(' '))
      .join('; '),
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
  }
}

/** The headers of the site that a part replaces by its own. */
const REPLACED = ['Content-Security-Policy', 'Cross-Origin-Opener-Policy', 'Cross-Origin-Resource-Policy']

/**
 * Returns the rules of a part. Cloudflare combines the rules of all paths that match, but only one rule for each path, so
 * the part's own rule for all its files also removes the site's headers.
 */
export function rulesOf(name, text) {
  const path = `/${name}/*`
  const removed = [path, ...REPLACED.map((header) => `  ! ${header}`)].join('\n')
  return text.split('\n').includes(path) ? text.replace(path, removed) : `${removed}\n\n${text}`
}

/** Writes `_headers` in the format of Cloudflare. */
async function writeHeaders(scripts) {
  const rules = [
    ['/*', pageHeaders(scripts)],
    // Some browsers download other kinds of text instead of showing them.
    ['/*.md', { 'Content-Type': 'text/plain; charset=utf-8' }],
    ['/assets/*', { 'Cache-Control': 'public, max-age=31536000, immutable' }],
  ]
  const text = rules.map(([path, headers]) =>
    [path, ...Object.entries(headers).map(([name, value]) => `  ${name}: ${value}`)].join('\n'),
  )
  for (const { name, folder } of PARTS) {
    const file = `${folder}/_headers`
    if (!existsSync(file)) continue
    text.push(rulesOf(name, (await readFile(file, 'utf8')).trim()))
    await rm(`${OUTPUT}/${name}/_headers`)
  }
  await writeFile(`${OUTPUT}/_headers`, `${text.join('\n\n')}\n`)
}

/** Writes a file of the site. */
async function write(path, text) {
  await mkdir(dirname(OUTPUT + path), { recursive: true })
  await writeFile(OUTPUT + path, text)
}

/** Returns the text of a page with the links of the site. */
async function textOf(pages, page) {
  const text = page === FRONT ? await readReadme() : await readFile(PAGES + page, 'utf8')
  return withAddresses(pages, page === FRONT ? 'README.md' : page, withoutComments(text))
}

/** Writes each page as Markdown beside it, with the pictures. The front page's Markdown is the README. */
async function writeMarkdown(pages) {
  for (const [page, route] of pages) {
    await write(markdownOf(route), await textOf(pages, page))
    for (const [, target] of (await (page === FRONT ? readReadme() : read(page))).matchAll(
      /!\[[^\]]*\]\(([^)\s:]+)\)/g,
    )) {
      if (!PICTURE.test(target)) continue
      const picture = resolve(page, target)
      await copyFile(fileOf(picture), `${OUTPUT}/${picture.replace(/^docs\//, '')}`)
    }
  }
}

/** Writes `llms.txt`, the list of the pages, and `llms-full.txt`, the text of all pages for users. */
async function writeLists(pages) {
  const { sections } = await listSections(pages)
  const list = llms(await read(INDEX), [...pages.keys()])
  const linked = withAddresses(pages, 'README.md', list)
  await write('/llms.txt', linked)
  const forUsers = sections.filter(({ title }) => title !== INTERNALS)
  const order = ['README.md', ...inOrder(forUsers)].filter((page) => !page.startsWith(REFERENCE))
  const texts = []
  for (const page of order) {
    texts.push(`Source: ${markdownOf(pages.get(page))}\n\n${(await textOf(pages, page)).trim()}\n`)
  }
  await write('/llms-full.txt', texts.join('\n\n'))
}

/** Completes the site. */
export async function finish(pages) {
  await writeHeaders(await inlineScripts())
  await writeMarkdown(pages)
  await writeLists(pages)
}
