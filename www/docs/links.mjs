/**
 * Links of the documents, which are written for a code host: a link to a page becomes the page's path on the site, and a
 * link to any other file of the repository becomes its URL at the code host.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { REFERENCE, fileOf, markdownOf, resolve, root } from './pages.mjs'

const manifest = JSON.parse(readFileSync(`${root}pkg/package.json`, 'utf8'))

export const { version } = manifest

/** The repository at the code host. */
export const repository = manifest.repository.url.replace(/^git\+/, '').replace(/\.git$/, '')

/** The branch of development, to which links for editing lead. */
export const BRANCH = 'main'

/** The revision to which links to files lead: the tag of the release that is being built, or the branch. */
export const revision = isRelease(`v${version}`) ? `v${version}` : BRANCH

function isRelease(tag) {
  try {
    const args = ['tag', '--points-at', 'HEAD']
    return execFileSync('git', args, { cwd: root, encoding: 'utf8' }).split('\n').includes(tag)
  } catch {
    // The sources are not in a repository, such as those in an archive.
    return false
  }
}

/** Matches a link that has an origin or begins at the site's root, and one to a heading of the same page. */
const COMPLETE = /^([a-z][a-z+.-]*:|\/|#)/i

/**
 * Returns the address of a link.
 *
 * @param {Map<string, string>} pages The path of each page on the site.
 * @param {string} page The page with the link, by its path in the repository.
 * @param {string} target The link as it is written.
 * @param {(route: string) => string} [addressOf] Returns the address of a page with this path on the site.
 */
export function address(pages, page, target, addressOf = (route) => route) {
  if (COMPLETE.test(target)) return target
  const file = resolve(page, target).replace(/\/$/, '')
  const hash = target.includes('#') ? target.slice(target.indexOf('#')) : ''
  if (pages.has(file)) return addressOf(pages.get(file)) + hash
  if (page.startsWith(REFERENCE) || file.startsWith('..') || !existsSync(root + file)) {
    throw new Error(`${page}: the link ${target} leads nowhere: there is no file ${file}`)
  }
  const kind = statSync(fileOf(file)).isDirectory() ? 'tree' : 'blob'
  return `${repository}/${kind}/${revision}/${file}${hash}`
}

/** Matches code, and the target of a link or a picture. */
const CODE_OR_TARGET = /^(`{3,}).*?^\1`*$|(`+)(?!`).*?[^`]\2(?!`)|\]\(([^)\s]+)\)/gms

/** Returns the Markdown of a page with the addresses that its links have on the site. */
export function withAddresses(pages, page, text) {
  return text.replace(CODE_OR_TARGET, (match, fence, quote, target) => {
    if (!target) return match
    return `](${PICTURE.test(target) ? pictureOf(page, target) : address(pages, page, target, markdownOf)})`
  })
}

/** Matches the file of a picture. */
export const PICTURE = /\.(png|svg|jpe?g|webp|avif)$/

/** Returns the path at which a picture of a document is served beside the page's Markdown. */
export const pictureOf = (page, target) =>
  COMPLETE.test(target) ? target : `/${resolve(page, target).replace(/^docs\//, '')}`
