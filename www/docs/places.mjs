/** The folders of the site. All of them are below target. */
import { fileURLToPath } from 'node:url'

const target = fileURLToPath(new URL('../../target/', import.meta.url))

export const WORK = `${target}docs/`

/** Copies of the pages, as VitePress reads them. */
export const PAGES = `${WORK}pages/`

/** The built site. */
export const OUTPUT = `${WORK}site`

/**
 * Static folders that other commands build. The site contains each one that exists, and links to it. A file `_headers` in
 * such a folder is added to that of the site; its paths begin at the site's root.
 */
export const PARTS = [
  { name: 'demo', title: 'Demo', folder: `${target}static/demo` },
  { name: 'playground', title: 'Playground', folder: `${target}static/playground` },
]
