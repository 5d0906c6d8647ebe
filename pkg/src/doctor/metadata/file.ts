/** The files with pinned metadata: a module, or the configuration of a standalone worker. */
import { readFile } from 'node:fs/promises'
import { Failure } from '../options.js'
import { type ObjectText, readObject, valueOf } from './literal.js'
import type { Members } from './pinned.js'

/** A file with pinned metadata. */
export interface MetadataFile {
  /** The pinned metadata of each issuer. A value is `undefined` if the issuer is known and its metadata are not. */
  readonly pinned: Map<string, unknown>
  /** Returns the file's text with other metadata of an issuer. Everything else in the text stays as it is. */
  with(issuer: string, pinned: Members): string
}

/** Reads a file. A module may be missing. @throws Failure */
export const openFile = async (path: string): Promise<MetadataFile> => {
  const text = await readFile(path, 'utf8').catch((error: Error & { code?: string }) => {
    if (error.code === 'ENOENT') return undefined
    throw new Failure(`${path} cannot be read: ${error.message}`)
  })
  if (/\.json$/i.test(path)) return openConfiguration(path, text)
  return text === undefined ? newModule(path) : openModule(path, text)
}

const openConfiguration = (path: string, text: string | undefined): MetadataFile => {
  if (text === undefined) throw new Failure(`${path} does not exist: write the vault's configuration first`)
  const object = objectAt(path, text, 0, 'is not a configuration in JSON')
  const { issuer, pinned } = valueOf(object.members)
  if (typeof issuer !== 'string') throw new Failure(`${path} has no issuer`)
  return {
    pinned: new Map([[issuer, pinned]]),
    with(other, members) {
      if (other !== issuer) throw new Failure(`${path} has the issuer ${issuer}, and not ${other}`)
      return withMember(text, object, 'pinned', members, styleOf(text, object, true))
    },
  }
}

/** The beginning of the object in a module. */
const DECLARATION = /^export const metadata\b[^=]*=\s*/m

const openModule = (path: string, text: string): MetadataFile => {
  const found = DECLARATION.exec(text)
  if (!found) {
    throw new Failure(
      `${path} has no \`export const metadata = {\`, so this command has not written it: name another file`,
    )
  }
  const object = objectAt(path, text, found.index + found[0].length, 'has metadata that cannot be read')
  return {
    pinned: new Map(object.members.map(({ name, value }) => [name, value])),
    with: (issuer, members) => withMember(text, object, issuer, members, styleOf(text, object, false)),
  }
}

const objectAt = (path: string, text: string, at: number, fault: string): ObjectText => {
  try {
    return readObject(text, at)
  } catch (error) {
    throw new Failure(`${path} ${fault}: ${(error as Error).message}`)
  }
}

const newModule = (path: string): MetadataFile => {
  const isTyped = /\.m?ts$/i.test(path)
  const start = isTyped
    ? 'import type { PinnedMetadata } from "strongroom/worker";\n\n'
    : '/** @type {Record<string, import("strongroom/worker").PinnedMetadata>} */\n'
  const type = isTyped ? ': Record<string, PinnedMetadata>' : ''
  const text = `// Written by \`npx strongroom metadata\`.\n${start}export const metadata${type} = {};\n`
  const { with: add } = openModule(path, text)
  return { pinned: new Map(), with: add }
}

/** The format of a file. */
interface Style {
  isJson: boolean
  quote: string
  /** One step of indentation. Empty if the whole object is on one line. */
  unit: string
  newline: string
}

/** Returns the style of an object, so that a formatter has little to change. */
const styleOf = (text: string, { start, members }: ObjectText, isJson: boolean): Style => {
  const [first] = members
  const between = first ? text.slice(start + 1, first.nameStart) : '\n  '
  return {
    isJson,
    quote: first && !isJson && text[first.nameStart] === "'" ? "'" : '"',
    unit: between.includes('\n') ? /[ \t]*$/.exec(between)![0] || '  ' : isJson ? '' : '  ',
    newline: text.includes('\r\n') ? '\r\n' : '\n',
  }
}

/** Returns the text with a member of the object: in the place of the present one, or in the order of names. */
const withMember = (text: string, object: ObjectText, name: string, value: Members, style: Style): string => {
  const { members, start, end } = object
  const { unit, newline, isJson } = style
  const replace = (from: number, to: number, part: string) =>
    text.slice(0, from) + part.replaceAll('\n', newline) + text.slice(to)
  const old = members.find((one) => one.name === name)
  if (old) return replace(old.start, old.end, write(value, style, unit))
  const member = `${keyOf(name, style)}: ${write(value, style, unit)}`
  const gap = unit ? `\n${unit}` : ' '
  const following = isJson ? undefined : members.find((one) => one.name > name)
  if (following) return replace(following.nameStart, following.nameStart, `${member},${gap}`)
  const last = members.at(-1)
  if (!last) return replace(start, end, `{${gap}${member},\n}`)
  const hasComma = /^\s*,/.exec(text.slice(last.end))
  const from = last.end + (hasComma?.[0].length ?? 0)
  return replace(from, from, `${hasComma ? '' : ','}${gap}${member}${isJson ? '' : ','}`)
}

/** The width at which Prettier breaks a line. */
const WIDTH = 80

/** Returns a value as Prettier formats it, without a line break after it. */
const write = (value: unknown, style: Style, indent: string): string => {
  const { unit, isJson } = style
  if (!unit) return JSON.stringify(value)
  if (typeof value === 'string') return quoted(value, style)
  if (Array.isArray(value)) return `[${value.map((one) => write(one, style, indent)).join(', ')}]`
  if (typeof value !== 'object' || value === null) return String(value)
  const inner = indent + unit
  const lines = Object.entries(value).map(([name, member]) => {
    const [key, text] = [`${inner}${keyOf(name, style)}:`, write(member, style, inner)]
    const breaks = !isJson && typeof member === 'string' && `${key} ${text},`.length > WIDTH
    return key + (breaks ? `\n${inner}${unit}` : ' ') + text
  })
  if (!lines.length) return '{}'
  return `{\n${lines.join(',\n')}${isJson ? '' : ','}\n${indent}}`
}

const keyOf = (name: string, style: Style): string =>
  !style.isJson && /^[a-z_$][\w$]*$/i.test(name) ? name : quoted(name, style)

/** Returns a string in quotes, in printable ASCII. */
const quoted = (text: string, { quote }: Style): string => {
  const json = JSON.stringify(text).replace(
    /[^ -~]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  if (quote === '"') return json
  return `'${json.slice(1, -1).replace(/\\.|'/g, (part) => (part === '\\"' ? '"' : part === "'" ? "\\'" : part))}'`
}
