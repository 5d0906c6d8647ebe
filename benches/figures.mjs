/**
 * The sizes in the documents. `cargo xtask size --write` writes them, and a test fails if one of them is out of date.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { counted } from './downloads.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const KB = 1024

/** The names by which sentences refer to downloads. */
const NAMES = {
  page: 'page (main thread)',
  worker: 'worker',
  module: 'wasm',
  total: 'total',
  errors: 'error messages, with the first error',
  angular: 'strongroom/angular',
  edge: 'strongroom/edge, on a server',
  auth0: 'auth0-spa-js',
  oidcClientTs: 'oidc-client-ts',
}

/**
 * Parts of sentences. A document contains each of its parts once. `{page:1}` stands for the size of the page in KB with one
 * digit after the point, and `{worker+module:0}` for a sum without such digits.
 */
export const SENTENCES = [
  { file: 'README.md', text: '**Cost**: {page:0} KB in the page and {worker+module:0} KB in the worker' },
  {
    file: 'docs/performance.md',
    text: '**Bytes in the page: {page:1} KB** after brotli (auth0-spa-js: {auth0:1} KB; oidc-client-ts: {oidcClientTs:1} KB).',
  },
  { file: 'docs/performance.md', text: 'and {errors:1} KB of error messages with its first error.' },
  {
    file: 'docs/performance.md',
    text: 'its script ({worker:1} KB) and the WebAssembly module ({module:1} KB). With the page an app downloads {total:1} KB.',
  },
  { file: 'docs/bundlers.md', text: 'The WebAssembly module, {module:1} KB, is the same file everywhere.' },
  {
    file: 'docs/frameworks.md',
    text: 'The binding for Angular adds {angular:1} KB (brotli) to the download, and each of the others at most {binding:1} KB.',
  },
  { file: 'docs/performance.md', text: 'Script and module have {edge:1} KB after gzip.' },
]

const PLACEHOLDER = /\{([\w+]+):(\d)\}/g

/**
 * The size that counts for each download, in KB, by the names that sentences use. `binding` is the largest binding except
 * that of Angular.
 */
export function sizesOf(downloads) {
  const sizeOf = (name) => {
    const download = downloads.find((one) => one.name === name)
    if (!download) throw new Error(`no download is named ${name}`)
    return counted(download) / KB
  }
  const named = Object.entries(NAMES).map(([key, name]) => [key, sizeOf(name)])
  const bindings = ['react', 'vue', 'solid'].map((name) => sizeOf(`strongroom/${name}`))
  return { ...Object.fromEntries(named), binding: Math.max(...bindings) }
}

const valueOf = (sum, sizes) => sum.split('+').reduce((total, name) => total + sizes[name], 0)

/** Returns the numbers of a sentence: what the document says, and what was measured. */
export function compare(document, { file, text }, sizes) {
  const places = [...text.matchAll(PLACEHOLDER)]
  const found = [...document.matchAll(new RegExp(pattern(text), 'g'))]
  if (found.length !== 1) throw new Error(`${file} has this ${found.length} times, not once: ${text}`)
  return places.map(([, sum, digits], i) => ({
    sum,
    said: +found[0][i + 1],
    measured: +valueOf(sum, sizes).toFixed(digits),
    digits: +digits,
  }))
}

/** Returns the document with the measured sizes in the sentence. */
export const updated = (document, { text }, sizes) =>
  document.replace(new RegExp(pattern(text)), () =>
    text.replace(PLACEHOLDER, (_, sum, digits) => valueOf(sum, sizes).toFixed(digits)),
  )

/** Returns a regular expression for the sentence with any numbers, and with any line breaks. */
const pattern = (text) =>
  text
    .split(PLACEHOLDER)
    .map((part, i) => [escaped(part), '(\\d+(?:\\.\\d+)?)', ''][i % 3])
    .join('')

const escaped = (part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')

export const read = (file) => readFile(root + file, 'utf8')

/** Writes the sizes into the documents. Resolves with the files that changed. */
export async function write(downloads) {
  const sizes = sizesOf(downloads)
  const changed = []
  for (const file of new Set(SENTENCES.map((sentence) => sentence.file))) {
    const before = await read(file)
    let after = before
    for (const sentence of SENTENCES.filter((one) => one.file === file)) {
      compare(after, sentence, sizes)
      after = updated(after, sentence, sizes)
    }
    if (after === before) continue
    await writeFile(root + file, after)
    changed.push(file)
  }
  return changed
}
