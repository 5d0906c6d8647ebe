/**
 * Checks the built pages: every link leads to a page and a heading, no script, style or handler is in the page unless the
 * policy names it, and nothing is loaded from another origin.
 */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile, readdir } from 'node:fs/promises'
import { OUTPUT, PARTS } from './places.mjs'

const ENTITIES = { '&amp;': '&', '&quot;': '"', '&#39;': "'", '&lt;': '<', '&gt;': '>' }
const decode = (text) => text.replace(/&(amp|quot|#39|lt|gt);/g, (entity) => ENTITIES[entity])

/** Returns the elements of a page with these names: for each its attributes. Comments do not count. */
function elements(html, names) {
  const tags = html
    .replace(/<!--.*?-->/gs, '')
    .matchAll(new RegExp(`<(${names})\\b((?:[^>"']|"[^"]*"|'[^']*')*)>`, 'g'))
  return [...tags].map(([, name, text]) => ({
    name,
    ...Object.fromEntries(
      [...text.matchAll(/([\w:@-]+)(?:="([^"]*)")?/g)].map(([, key, value = '']) => [key, decode(value)]),
    ),
  }))
}

/** Returns the identifiers of a page's elements. */
export const identifiers = (html) =>
  new Set([...html.matchAll(/\sid="([^"]+)"/g)].map(([, id]) => decode(id)))

/** Returns the path on the site of a file, such as `/fetch` for `fetch.html`. */
export const pathOf = (file) => `/${file.replace(/(^|\/)index\.html$/, '$1').replace(/\.html$/, '')}`

/**
 * Returns the faults of pages.
 *
 * @param {Map<string, string>} pages The HTML of each page, by its path.
 * @param {(path: string) => boolean} hasFile Returns true if the site has a file at this path.
 * @param {string} policy The value of Content-Security-Policy.
 */
export function faultsOf(pages, hasFile, policy) {
  const ids = new Map([...pages].map(([path, html]) => [path, identifiers(html)]))
  const faults = []
  for (const [path, html] of pages) {
    const report = (text) => faults.push(`${path}: ${text}`)
    for (const { href } of elements(html, 'a')) {
      if (!href || /^[a-z]+:/.test(href)) continue
      const url = new URL(href, `http://site${path}`)
      const target = decodeURIComponent(url.pathname)
      const hash = decodeURIComponent(url.hash.slice(1))
      if (!pages.has(target)) {
        if (!hasFile(target)) report(`the link ${href} leads to no page`)
      } else if (hash && !ids.get(target).has(hash)) report(`the link ${href} leads to no heading`)
    }
    for (const element of elements(html, 'script|link|img|iframe|source|video|audio|object|embed')) {
      const url = element.src ?? (element.rel === 'canonical' ? undefined : element.href)
      if (url && /^([a-z]+:)?\/\//.test(url)) report(`${url} is loaded from another origin`)
      else if (url?.startsWith('/') && !hasFile(url)) report(`${url} is loaded, but does not exist`)
    }
    for (const [, attributes, script] of html.matchAll(/<script([^>]*)>(.*?)<\/script>/gs)) {
      if (/\bsrc=/.test(attributes)) continue
      const hash = createHash('sha256').update(script).digest('base64')
      if (!policy.includes(`'sha256-${hash}'`))
        report(`an inline script is not in the policy: ${script.slice(0, 60)}`)
    }
    if (/<style[\s>]/.test(html)) report('has a <style>')
    for (const element of elements(html, '[a-z][\\w-]*')) {
      if ('style' in element) report(`<${element.name}> has a style attribute: ${element.style}`)
      const handler = Object.keys(element).find((name) => /^on[a-z]+$/.test(name))
      if (handler) report(`<${element.name}> has the handler ${handler}`)
    }
  }
  return faults
}

/** Resolves with the HTML of the built pages, by path. */
export async function readPages() {
  const files = (await readdir(OUTPUT, { recursive: true })).filter((file) => file.endsWith('.html'))
  const own = files.filter((file) => !PARTS.some(({ name }) => file.startsWith(`${name}/`)))
  const texts = await Promise.all(
    own.map(async (file) => [pathOf(file), await readFile(`${OUTPUT}/${file}`, 'utf8')]),
  )
  return new Map(texts.sort(([one], [other]) => (one < other ? -1 : 1)))
}

/** Resolves with the policy in the site's headers. */
export async function readPolicy() {
  const headers = await readFile(`${OUTPUT}/_headers`, 'utf8')
  return /^ {2}Content-Security-Policy: (.*)$/m.exec(headers)[1]
}

/** Resolves with the faults of the built site. */
export async function check() {
  return faultsOf(await readPages(), (path) => existsSync(OUTPUT + path), await readPolicy())
}
