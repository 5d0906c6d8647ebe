/**
 * The words of documents, without code and without parts that a command writes. `cargo xtask measure` prints their sum, and
 * a test compares each page with the limit.
 */
import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { userDocuments } from '../../pkg/assistants.mjs'

const root = new URL('../../', import.meta.url)

/** The largest number of words of a page. */
export const LIMIT = 2500

/** The documents that may be longer than a page: references for the people who work on strongroom. */
const LONG = ['ARCHITECTURE.md', 'CHANGELOG.md', 'docs/decisions.md']

/** The documents of the project outside `docs`. Those in `docs` are below "Internals" in docs/README.md. */
const OF_THE_PROJECT = ['AGENTS.md', 'ARCHITECTURE.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md']

/** The documents that a command or a check of every row keeps, and that nobody reads from beginning to end. */
const TABLES = ['docs/conformance.md', 'docs/security-claims.md']

const CODE = /^( *)```.*?^\1```/gms
/** A part that a command writes, or that a test compares with the code, between its two comments. `only in the repository` marks text that is not packaged, `only in the package` and `only on the site` text for package and site. */
const WRITTEN = /^<!-- (?!only ).*? -->\n.*?^<!-- end -->/gms

/** Returns the number of words in a document outside code blocks and written parts. */
export function words(text) {
  return text.replace(CODE, '').replace(WRITTEN, '').split(/\s+/).filter(Boolean).length
}

const markdown = async (folder) =>
  (await readdir(new URL(folder, root))).filter((name) => name.endsWith('.md')).map((name) => folder + name)

/** Resolves with the pages for users, the documents of the project, the guides to providers and the tables, each with its words. */
export async function documents() {
  const forUsers = ['README.md', ...userDocuments(await readFile(new URL('docs/README.md', root), 'utf8'))]
  const internals = (await markdown('docs/')).filter((path) => ![...forUsers, ...TABLES].includes(path))
  const counted = (paths) =>
    Promise.all(paths.map(async (path) => [path, words(await readFile(new URL(path, root), 'utf8'))]))
  return {
    forUsers: await counted(forUsers),
    ofTheProject: await counted([...OF_THE_PROJECT, ...internals]),
    providers: await counted(await markdown('docs/providers/')),
    tables: await counted(TABLES),
  }
}

/** Returns the pages that exceed the limit, longest first. */
export function tooLong(counts) {
  return counts.filter(([path, count]) => count > LIMIT && !LONG.includes(path)).sort(([, a], [, b]) => b - a)
}

/** Returns the row that `cargo xtask measure` prints. */
export function row(groups) {
  const total = Object.values(groups).flat()
  return ['hand-written words of documents, without code', total.reduce((sum, [, count]) => sum + count, 0)]
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [name, value] = row(await documents())
  console.log(name.padEnd(62), value)
}
