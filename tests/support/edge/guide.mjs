/** The code of the guides to server code, as apps: a test writes the code blocks of a guide to files, and runs them. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { root } from '../../packaging/tarball.mjs'

/** Matches a code block that is a whole file: its first line (in Astro, its second) is a comment with the file's name. */
const FILE = /^```\w+\n((?:---\n)?(?:\/\/|<!--) (\S+\.\w+)(?: -->)?\n.*?)^```/gms

/** The values in the guides, each with the value that replaces it in tests. */
const VALUES = {
  "issuer: 'https://id.example.com'": 'issuer: (env) => env.ISSUER',
  "issuer = 'https://id.example.com'": 'issuer = process.env.ISSUER!',
  "upstream: 'https://api.example.com/v1/'": 'upstream: (env) => env.UPSTREAM',
  "scope: 'openid profile offline_access'":
    "scope: 'openid profile offline_access orders',\n  consent: 'always'",
}

/**
 * Writes the files of a guide to a project.
 *
 * @param {string} folder
 * @param {string} guide The name of a document in docs/.
 * @param {...string} headings Only files below these headings of the second level. Default: all.
 */
export async function writeGuide(folder, guide, ...headings) {
  const sections = (await readFile(`${root}docs/${guide}.md`, 'utf8')).split(/^## /m)
  const titles = sections.map((section) => section.split('\n')[0])
  for (const heading of headings)
    if (!titles.includes(heading)) throw new Error(`docs/${guide}.md has no section “${heading}”`)
  const chosen = sections.filter((_, at) => !headings.length || headings.includes(titles[at]))
  for (const [, code, name] of chosen.flatMap((section) => [...section.matchAll(FILE)])) {
    const file = `${folder}/${name}`
    const text = Object.entries(VALUES).reduce(
      (text, [documented, own]) => text.replace(documented, own),
      code,
    )
    await mkdir(dirname(file), { recursive: true })
    // Fails if the file exists: two blocks with one name belong to two apps, so `headings` must choose one.
    await writeFile(file, text, { flag: 'wx' })
  }
}
