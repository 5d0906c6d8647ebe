/** Prints a configuration, as JSON and as a module. Short objects and arrays are on one line. */

const WIDTH = 60
const IDENTIFIER = /^[A-Za-z_$][\w$]*$/

interface Style {
  name(name: string): string
  text(text: string): string
  /** The comma after the last item of several lines. */
  lastComma: string
}

const JSON_STYLE: Style = { name: quoteTwice, text: quoteTwice, lastComma: '' }

const CODE_STYLE: Style = {
  name: (name) => (IDENTIFIER.test(name) ? name : quoteOnce(name)),
  text: quoteOnce,
  lastComma: ',',
}

/** Returns a configuration as JSON. */
export function configurationText(configuration: unknown): string {
  return `${print(configuration, JSON_STYLE, 0, 0)}\n`
}

/** Returns the content of `auth.config.ts`, which the worker's file, the generated headers and tests import. */
export function configurationModule(configuration: unknown): string {
  const object = print(configuration, CODE_STYLE, 0, 0)
  return `import type { VaultConfig } from 'strongroom/worker'\n\nexport const config: VaultConfig = ${object}\n`
}

/** Prints a value on one line if it fits after `column` characters. The whole configuration has several lines. */
function print(value: unknown, style: Style, depth: number, column: number): string {
  if (typeof value === 'string') return style.text(value)
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const line = onOneLine(value, style)
  if (depth && column + line.length < WIDTH) return line
  const indent = '  '.repeat(depth + 1)
  const items = entries(value, style).map(([name, item]) => {
    const start = indent + name
    return start + print(item, style, depth + 1, start.length)
  })
  const [open, close] = Array.isArray(value) ? '[]' : '{}'
  if (!items.length) return `${open}${close}`
  return `${open}\n${items.join(',\n')}${style.lastComma}\n${'  '.repeat(depth)}${close}`
}

function onOneLine(value: object, style: Style): string {
  const items = entries(value, style).map(([name, item]) => {
    const isObject = typeof item === 'object' && item !== null
    return name + (isObject ? onOneLine(item, style) : print(item, style, 1, 0))
  })
  if (Array.isArray(value)) return `[${items.join(', ')}]`
  return items.length ? `{ ${items.join(', ')} }` : '{}'
}

/** Returns the items of an array or object, each with the text before it. */
function entries(value: object, style: Style): [string, unknown][] {
  if (Array.isArray(value)) return value.map((item) => ['', item])
  return Object.entries(value).map(([name, item]) => [`${style.name(name)}: `, item])
}

function quoteTwice(text: string): string {
  return JSON.stringify(text)
}

function quoteOnce(text: string): string {
  const json = JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"')
  return `'${json.replaceAll("'", "\\'")}'`
}
