/**
 * Writes docs/security-claims.md and docs/conformance.md from the files in this folder.
 *
 *   node docs/claims/write.mjs
 *
 * A file has the claims about one attacker: `{ title, groups: [{ title?, text?, claims: [{ id, claim?, limits?, tests }] }] }`.
 * The identifier of a claim begins with its file's name and never changes; a new claim gets the next free number.
 * `standards.json` has the requirements of the specifications: `[{ title, rows: [{ section, requirement, strongroom,
 * note?, tests? }] }]`. A test is written as `file: name`; several tests of a Rust file as `file: name, name`. Links are
 * relative to the folder `docs`.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { pathToFileURL } from 'node:url'

const root = new URL('../../', import.meta.url)
const read = async (name) => JSON.parse(await readFile(new URL(`docs/claims/${name}.json`, root), 'utf8'))

/** The files with claims, in the order of the document. */
export const ATTACKERS = [
  'script',
  'callback',
  'url',
  'origin',
  'extension',
  'site',
  'reports',
  'history',
  'network',
  'device',
  'api',
  'provider',
  'handler',
  'package',
  'end',
  'fuzzing',
]

const CLAIMS_HEAD = `# Security: claims, limits and tests

[SECURITY.md](../SECURITY.md) says what strongroom protects, from whom, and what is not covered. This document has each claim, sorted by attacker, with its limits (*Not covered*) and the tests that show it, as \`file: name\`, or \`file: name, name\`. \`cargo xtask test\` runs all of these tests, and \`tests/security.rs\` fails if a named test does not exist. *The vault* is the state machine that holds the tokens of one browser ([glossary.md](glossary.md)).

The claims are in \`docs/claims\`, and \`cargo xtask options\` writes this document from them.
`

const CONFORMANCE_HEAD = `# Conformance

These tables list the requirements of the specifications. Each row has one requirement, strongroom's behavior, and the tests that show this behavior, as \`file: name\`. Behind the tests are the identifiers of the [claims](security-claims.md) that name them, too. \`tests/security.rs\` fails if a named test does not exist, or if a row has neither a test nor a reason. [conformance-suite.md](conformance-suite.md) has the results in the OpenID Foundation's conformance suite.

*Refused* means that strongroom deliberately does not do what the specification allows, and the row has the reason. *Not covered* means that strongroom does not ensure the requirement, or that no test shows it. Requirements of RFC 10017 that repeat another specification's are only in that specification's table.

The rows are in \`docs/claims/standards.json\`, and \`cargo xtask options\` writes this document from them.
`

const quoted = (tests) => tests.map((test) => `\`${test}\``).join(', ')
const paragraphs = (parts) => parts.filter(Boolean).join('\n\n')

/** Returns a claim as a list item. */
export const item = ({ id, claim, limits, tests }) =>
  [`- **${id}**`, claim, limits && `*Not covered*: ${limits}`, quoted(tests)].filter(Boolean).join(' ')

const group = ({ title, text = [], claims = [] }) =>
  paragraphs([title && `### ${title}`, ...text, claims.map(item).join('\n')])

/** Returns the tests that a string names, one by one. A name in JavaScript may contain a comma. */
export function single(test) {
  const [, file, names] = /^(\S+?): (.*)$/s.exec(test)
  return (file.endsWith('.rs') ? names.split(', ') : [names]).map((name) => `${file}: ${name}`)
}

/** Returns for each test the identifiers of the claims that name it. */
export function claimsByTest(files) {
  const ids = new Map()
  const claims = files.flatMap(({ groups }) => groups.flatMap(({ claims = [] }) => claims))
  for (const { id, tests } of claims) {
    for (const test of tests.flatMap(single)) ids.set(test, [...(ids.get(test) ?? []), id])
  }
  return ids
}

function row({ section, requirement, strongroom, note, tests = [] }, idsOf) {
  const ids = [...new Set(tests.flatMap(single).flatMap((test) => idsOf.get(test) ?? []))]
  const shown = [note, quoted(tests), ids.length && `(${ids.join(', ')})`].filter(Boolean).join(' ')
  return `| ${section} | ${requirement} | ${strongroom} | ${shown} |`
}

const TABLE_HEAD = '| section | requirement | strongroom | shown by |\n|---|---|---|---|'

/** Resolves with the claims of each attacker, in the order of the document. */
export const attackers = () => Promise.all(ATTACKERS.map(read))

/** Resolves with the texts of both documents, by their paths. */
export async function documents() {
  const files = await attackers()
  const claims = files.map(({ title, groups }) => `${paragraphs([`## ${title}`, ...groups.map(group)])}\n`)
  const idsOf = claimsByTest(files)
  const standards = (await read('standards')).map(
    ({ title, rows }) => `## ${title}\n\n${TABLE_HEAD}\n${rows.map((one) => row(one, idsOf)).join('\n')}\n`,
  )
  return {
    'docs/security-claims.md': [CLAIMS_HEAD, ...claims].join('\n'),
    'docs/conformance.md': [CONFORMANCE_HEAD, ...standards].join('\n'),
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  for (const [path, text] of Object.entries(await documents())) await writeFile(new URL(path, root), text)
}
