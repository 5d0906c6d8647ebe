/** The scripts of a page, as its tags name them. */
import type { Reply } from './requests.js'

/** Matches the start tag of a script. A tag cannot contain another one, so long pages take no longer. */
const SCRIPT_TAG = /<script\b([^<>]*)>/gi

/** Returns the type of a script, by its tag. */
const typeOf = (attributes: string) => /\btype\s*=\s*["']?([^"'\s>]*)/i.exec(attributes)?.[1] ?? ''

/** Returns true if a script contains code, not data. */
export const isScript = (attributes: string): boolean =>
  /^(|module|(text|application)\/(java|ecma)script)$/i.test(typeOf(attributes))

/** Returns true if a script has a nonce, or if it is inline code. */
const needsSource = (attributes: string) => {
  const isCode = isScript(attributes) || /^(importmap|speculationrules)$/i.test(typeOf(attributes))
  return /\bnonce=/i.test(attributes) || (isCode && !/\bsrc=/i.test(attributes))
}

/** Returns true if a policy needs a nonce or hashes for scripts of the page: a path does not permit them. */
export const needsNonce = ({ body }: Reply): boolean =>
  [...body.matchAll(SCRIPT_TAG)].some(([, attributes = '']) => needsSource(attributes))

/** The file of a script: its address as written, its URL, and the attributes of its tag. */
export interface ScriptFile {
  address: string
  href: string
  attributes: string
}

/** Returns the files that a page's scripts name. */
export const filesOf = ({ body, url }: Reply): ScriptFile[] =>
  [...body.matchAll(SCRIPT_TAG)].flatMap(([, attributes = '']) => {
    const [, address] = /\bsrc=["']?([^"'\s>]+)/i.exec(attributes) ?? []
    if (address === undefined || !URL.canParse(address, url)) return []
    return [{ address, href: new URL(address, url).href, attributes }]
  })

/** Returns the addresses of a page's scripts. */
export const scriptsOf = (page: Reply): string[] => filesOf(page).map(({ href }) => href)

/** Returns the inline scripts of a page whose attributes satisfy `test`. */
export const inlineOf = ({ body }: Reply, test = (_attributes: string) => true): string[] =>
  [...body.matchAll(SCRIPT_TAG)].flatMap(({ 0: tag, 1: attributes = '', index }) => {
    if (!test(attributes)) return []
    const start = index + tag.length
    const end = body.indexOf('</script', start)
    return end > start ? [body.slice(start, end)] : []
  })

/** Returns true if two pages have the same scripts, inline and in files, and at least one file. */
export const isSamePage = (one: Reply, other: Reply): boolean => {
  const [own, others] = [one, other].map((page) => JSON.stringify([scriptsOf(page), inlineOf(page)]))
  return scriptsOf(one).length > 0 && own === others
}

/** Returns the hashes that a script's tag names. Browsers compare those of the strongest algorithm only. */
export const hashesOf = (attributes: string): string[] => {
  const [, value = ''] = /\sintegrity=("[^"]*"|'[^']*'|[^\s>]*)/i.exec(attributes) ?? []
  const all = value.match(/\bsha(256|384|512)-[\w+/-]+=*/g) ?? []
  const strongest = ['512', '384', '256'].find((one) => all.some((hash) => hash.startsWith(`sha${one}`)))
  return all.filter((hash) => hash.startsWith(`sha${strongest}`))
}

/** Returns the number of hashes that a page has for modules: in tags, in its import map, and in headers. */
export const hashesIn = ({ body, header }: Reply): number => {
  const tags = body.replace(SCRIPT_TAG, (tag, attributes) =>
    /^module$/i.test(typeOf(attributes)) ? tag : '',
  )
  return [...`${header('link')}${tags}`.matchAll(/\bintegrity\b/gi)].length
}
