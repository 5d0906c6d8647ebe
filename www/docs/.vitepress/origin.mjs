/** What the site has only if its origin is known: a list of its pages for search engines, and the address of each page. */
import { pathOf } from '../check.mjs'

/** The origin of the site, such as `https://docs.example.com`, which build.mjs was given. */
export const { SITE_ORIGIN: origin } = process.env

/** Returns VitePress's option for `sitemap.xml`. */
export const sitemapOf = (site) => (site ? { sitemap: { hostname: site } } : {})

/**
 * Returns the elements in the head of a page that name its address, so that search engines know a copy from the original.
 *
 * @param {string | undefined} site
 * @param {string} file The path of the page's file as VitePress names it, such as `providers/auth0.md`.
 */
export const canonicalOf = (site, file) =>
  site ? [['link', { rel: 'canonical', href: site + pathOf(file.replace(/\.md$/, '.html')) }]] : []
