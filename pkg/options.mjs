/**
 * Writes the sections of docs/options.md. The names, types and descriptions are those of the TypeScript interfaces.
 * Defaults are in their comments, and must equal the values in the core.
 *
 *   node pkg/options.mjs
 */
import { readFile, writeFile } from 'node:fs/promises'
import { pathToFileURL } from 'node:url'

const root = new URL('../', import.meta.url)
const read = (path) => readFile(new URL(path, root), 'utf8')

const DOCUMENT = 'docs/options.md'

/** The expressions in the core that contain defaults. The first group is the value. */
const DEFAULTS = {
  VaultConfig: {
    claims: ['src/rules/config/identity.rs', /DEFAULT_CLAIMS: &str = "(.*?)"/],
    clockTolerance: ['src/rules/config/flow.rs', /DEFAULT_TOLERANCE: u64 = (\d+)/],
    requestTimeout: ['src/rules/config/flow.rs', /seconds\("requestTimeout", (\d+)/],
    refreshTimeout: ['src/rules/config/flow.rs', /seconds\("refreshTimeout", (\d+)/],
  },
  ApiRule: { methods: ['src/vault/config/apis.rs', /strings\("methods", "(.*?)"/] },
  SessionLimits: {
    idle: ['src/rules/config/limits.rs', /HALF_HOUR: u64 = ([\d_]+)/],
    absolute: ['src/rules/config/limits.rs', /HALF_DAY: u64 = ([\d_]+)/],
  },
  TokenHandlerConfig: {
    claims: ['src/rules/config/identity.rs', /DEFAULT_CLAIMS: &str = "(.*?)"/],
    'session.idle': ['src/rules/config/limits.rs', /HALF_HOUR: u64 = ([\d_]+)/],
    'session.absolute': ['src/rules/config/limits.rs', /HALF_DAY: u64 = ([\d_]+)/],
    'session.recheck': ['src/edge/config.rs', /seconds\("recheck", (\d+)/],
    'session.grace': ['src/edge/config.rs', /seconds\("grace", (\d+)/],
    clockTolerance: ['src/rules/config/flow.rs', /DEFAULT_TOLERANCE: u64 = (\d+)/],
    requestTimeout: ['src/rules/config/flow.rs', /seconds\("requestTimeout", (\d+)/],
    refreshTimeout: ['src/rules/config/flow.rs', /seconds\("refreshTimeout", (\d+)/],
  },
  Route: {
    methods: ['src/edge/config.rs', /DEFAULT_METHODS: &str = "(.*?)"/],
    timeout: ['src/edge/config.rs', /seconds\("timeout", (\d+)/],
  },
}

/** Returns the text of a doc comment, each paragraph in one line. */
const commentText = (lines) =>
  lines
    .map((line) => line.replace(/^\s*(\/\*\*|\*\/|\*(?!\/))?\s?/, '').replace(/\s*\*\/$/, ''))
    .join('\n')
    .trim()
    .split(/\n{2,}/)
    .map((paragraph) => paragraph.replace(/\{@link (\w+)[^}]*\}/g, '`$1`').replace(/\s+/g, ' '))
    .join('\n\n')

/**
 * Returns the members of a block whose lines begin with `indent`. The members of a nested block follow the member that
 * contains them.
 */
function members(lines, indent, path = '') {
  const found = []
  let comment = []
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]
    if (line.startsWith(`${indent}/**`)) {
      const end = lines.findIndex((one, at) => at >= i && one.includes('*/'))
      comment = lines.slice(i, end + 1)
      i = end
      continue
    }
    const [, name, optional, start] = new RegExp(`^${indent}(\\w+)(\\??): ?(.*)$`).exec(line) ?? []
    if (!name) continue
    const type = [start]
    while (i + 1 < lines.length && lines[i + 1].startsWith(`${indent}  `)) type.push(lines[++i])
    const member = { name: path + name, isOptional: !!optional, text: commentText(comment) }
    if (start === '{') {
      found.push({ ...member, type: 'object' }, ...members(type.slice(1), `${indent}  `, `${path}${name}.`))
    } else
      found.push({
        ...member,
        type: type
          .join(' ')
          .replace(/\s+/g, ' ')
          .replace(/^ ?\| /, '')
          .trim(),
      })
    comment = []
  }
  return found
}

/** Returns the members of an interface. */
export function interfaceMembers(source, name) {
  const body = new RegExp(`^export interface ${name}\\b[^{]*\\{\\n(.*?)^\\}`, 'ms').exec(source)?.[1]
  if (!body) throw new Error(`there is no interface ${name}`)
  return members(body.split('\n'), '  ')
}

/** Returns the default that a comment names. */
export const defaultIn = (text) =>
  /(?:^|\.\s+)Default:? (.+?)(?:\.\s|\.$|: |; |, if )/.exec(text)?.[1] ??
  /(`[^`]+`) \(default\)/.exec(text)?.[1]

/** Resolves with the codes of errors of several words. A single word, such as `timeout`, may mean something else. */
const errorCodes = async () =>
  [...(await read('src/rules/base/error.rs')).matchAll(/ = "(\w+_\w+)", "/g)].map(([, code]) => code)

/**
 * Returns the description in a comment: without a sentence that only names the default, and with links to documents and
 * codes.
 */
const description = (text, codes) => {
  const stated = defaultIn(text)
  return [`Default ${stated}.`, `Default: ${stated}.`]
    .reduce((rest, sentence) => rest.replace(sentence, ''), text)
    .replace(/ {2,}/g, ' ')
    .replace(/ $/gm, '')
    .replace(/\bdocs\/([\w-]+\.md)(#[\w-]+)?/g, (_, name, anchor = '') => `[${name}](${name}${anchor})`)
    .replace(/`(\w+)`/g, (code, name) => (codes.includes(name) ? `[${code}](errors.md#${name})` : code))
    .trim()
}

/** Returns the section of an option. */
const section = ({ name, isOptional, type, text }, codes) => {
  const stated = defaultIn(text)
  const value = isOptional ? (stated ? `Default: ${stated}.` : 'Optional.') : 'Required.'
  return `### \`${name}\`\n\nType: \`${type}\`. ${value}\n\n${description(text, codes)}`
}

/** Returns a link to the heading of an option, with the anchor that GitHub gives it. */
const link = ({ name }) => `[\`${name}\`](#${name.toLowerCase().replace(/\W/g, '')})`

/**
 * Resolves with the sections of an interface in the TypeScript file `path`, after links to all of them. In headings, the
 * names of options begin with `prefix`.
 */
async function sections(path, name, prefix = '') {
  const found = interfaceMembers(await read(path), name)
  await checkDefaults(name, found)
  const options = found.map((option) => ({ ...option, name: prefix + option.name }))
  const codes = await errorCodes()
  return [options.map(link).join(', '), ...options.map((option) => section(option, codes))].join('\n\n')
}

/** Reduces a list to its words, and a number to its digits. */
const words = (text) =>
  text
    .replace(/[`'[\],]/g, ' ')
    .replace(/(?<=\d)_/g, '')
    .split(/\s+/)
    .filter(Boolean)
    .join(' ')

async function checkDefaults(name, options) {
  const silent = options.find((one) => one.isOptional && one.type === 'boolean' && !defaultIn(one.text))
  if (silent)
    throw new Error(`${name}.${silent.name}: the comment must name the default, such as "Default false."`)
  for (const [option, [file, pattern]] of Object.entries(DEFAULTS[name] ?? {})) {
    const value = pattern.exec(await read(file))?.[1]
    const stated = defaultIn(options.find((one) => one.name === option).text)
    if (!value || words(value) !== words(stated)) {
      throw new Error(`${name}.${option}: the default in ${file} is ${value}, and the comment says ${stated}`)
    }
  }
}

/** Resolves with the document as it must be. */
export async function written(document) {
  const parts = document.split(/(<!-- (?:\S+): (?:\w+)(?:, \S+)? -->\n).*?(?=<!-- end -->)/s)
  const texts = parts.map(async (part) => {
    const [, path, name, prefix] = /^<!-- (\S+): (\w+)(?:, (\S+))? -->\n$/.exec(part) ?? []
    return path ? `${part}\n${await sections(path, name, prefix)}\n\n` : part
  })
  return (await Promise.all(texts)).join('')
}

export const readDocument = () => read(DOCUMENT)

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  await writeFile(new URL(DOCUMENT, root), await written(await readDocument()))
}
