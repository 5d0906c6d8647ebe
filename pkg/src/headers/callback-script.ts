/**
 * The callback pages of a Vite build: a page's scripts become one file, whose hash the page names. Script of the app's other pages
 * can write into the caches of the app's service worker. The callback page then runs none of it, also under another service
 * worker.
 */
import type { posix } from 'node:path'
import { invalid } from './checks.js'

/** A script that Vite writes. */
interface Chunk {
  type: 'chunk'
  code: string
  /** The modules in the script. The bundler leaves out modules that it does not need. */
  moduleIds: string[]
  imports: string[]
  dynamicImports: string[]
}
export type Bundle = Record<string, Chunk | { type: 'asset'; source: string | Uint8Array }>

/** The part of Vite's configuration that says where the bundler is, and what it does. */
interface Vite {
  root: string
  base: string
  build: { minify?: unknown }
  experimental?: {
    renderBuiltUrl?(
      name: string,
      user: { hostId: string; hostType: 'html'; type: 'asset'; ssr: boolean },
    ): string | object | undefined
  }
  logger: { warn(message: string): void }
}

/** The functions by which a bundler tells a plugin about the app's files. */
export interface Build {
  meta: { rolldownVersion?: string }
  getModuleIds(): Iterable<string>
  getModuleInfo(
    id: string,
  ): { isEntry: boolean; importedIds: readonly string[]; dynamicallyImportedIds: readonly string[] } | null
  emitFile(file: object): unknown
}

/** A page, its only script, and the hash of the script. */
export interface HashedPage {
  page: string
  script: string
  integrity: string
}

/**
 * Returns the address of a file of the package, in a form that no bundler of an app resolves: its bundle of
 * `strongroom/headers` then has no files that only a build uses.
 */
export const beside = (file: string): string => import.meta.url.replace(/[^/]*$/, file)

/**
 * Merges the scripts of each page that calls `finishLogin()`, and writes their hash into the page. Resolves with these pages.
 *
 * @throws `StrongroomError` `config_invalid` if something stays outside of the file.
 */
export const mergeCallbackPages = async (build: Build, bundle: Bundle, vite: Vite): Promise<HashedPage[]> => {
  const [{ posix }, { createHash }, { fileURLToPath }] = await Promise.all([
    import('node:path'),
    import('node:crypto'),
    import('node:url'),
  ])
  const nameOf = (page: string) => posix.relative(vite.root, page)
  /** Returns the address that Vite writes into a page. */
  const addressOf = (name: string, page: string) => {
    const user = { hostId: page, hostType: 'html', type: 'asset', ssr: false } as const
    const made = vite.experimental?.renderBuiltUrl?.(name, user)
    if (typeof made === 'string' && made) return made
    const isRelative = /^(\.\/)?$/.test(vite.base)
    return isRelative ? `./${posix.relative(posix.dirname(page), name)}` : vite.base + name
  }
  const chunkOf = (address: string, page: string) => {
    const pathOf = (path: string) => new URL(path, `http://any/${page}`).href.replace(/[?#].*/, '')
    const path = pathOf(address)
    return Object.keys(bundle).find(
      (name) => bundle[name]!.type === 'chunk' && pathOf(addressOf(name, page)) === path,
    )
  }
  const chunksOf = (page: string): string[] => {
    const file = bundle[page]
    if (file?.type !== 'asset') return []
    return codeTags(String(file.source)).flatMap((tag) => chunkOf(SRC.exec(tag)?.[1] ?? '', page) ?? [])
  }
  const { found, doubtful, others } = callbackPages(
    build,
    fileURLToPath(new URL(beside('callback.js'))),
    bundle,
    (page) => chunksOf(nameOf(page)),
  )
  if (!found.length)
    vite.logger.warn(
      'strongroom: callbackPage: true, but no page of this build calls finishLogin(): name callback.html in `rolldownOptions.input`, or write the hash of its script into the page as docs/callback-page.md shows',
    )
  if (doubtful.length)
    vite.logger.warn(
      `strongroom: callbackPage: true, and ${doubtful.map(nameOf).join(', ')} can load finishLogin() later: such a page gets no hash of its script, so import it at once if this is a callback page (docs/callback-page.md)`,
    )
  const apps = new Set(others.flatMap((page) => build.getModuleInfo(page)!.importedIds))
  const hashed: HashedPage[] = []
  for (const page of found.map(nameOf)) {
    const file = bundle[page]
    if (file?.type !== 'asset') throw invalid(`the build has no ${page}, which calls finishLogin()`)
    const scripts = chunksOf(page)
    const { code, loadsMore } = await merge(build, bundle, page, scripts, apps, vite, posix)
    const hash = (algorithm: string) => createHash(algorithm).update(code)
    const name = `callback-${hash('sha256').digest('base64url').slice(0, 8)}.js`
    const script = posix.join(posix.dirname(scripts[0] ?? page), name)
    const integrity = `sha384-${hash('sha384').digest('base64')}`
    const written = withOneScript(
      String(file.source),
      page,
      (address) => chunkOf(address, page) !== undefined,
      `src="${addressOf(script, page)}" integrity="${integrity}"`,
      loadsMore,
    )
    // With the option `app`, the app's scripts run in this document, after the login.
    file.source = loadsMore ? written : withPolicy(written, integrity)
    if (hashed.every((other) => other.script !== script))
      build.emitFile({ type: 'asset', fileName: script, source: code })
    hashed.push({ page, script, integrity })
  }
  return hashed
}

/** Returns true if `isIt` is true of a module or a chunk, or of anything that it leads to. */
const reaches = (
  from: string,
  isIt: (one: string) => boolean,
  next: (one: string) => readonly string[],
  seen = new Set<string>(),
): boolean => {
  if (seen.has(from)) return false
  seen.add(from)
  return isIt(from) || next(from).some((one) => reaches(one, isIt, next, seen))
}

/**
 * Returns the pages that import the package's file `callback` at once, or, without such a page, those that load it later.
 * `doubtful` are the others that load it later. The file may be that of another copy of the package.
 */
const callbackPages = (
  build: Build,
  own: string,
  bundle: Bundle,
  chunksOf: (page: string) => string[],
): Record<'found' | 'doubtful' | 'others', string[]> => {
  const withSlashes = (id: string) => id.replaceAll('\\', '/')
  const isCallback = (id: string) =>
    withSlashes(id) === withSlashes(own) || withSlashes(id).endsWith('/strongroom/dist/callback.js')
  const calls = (page: string, later: boolean): boolean => {
    const modulesOf = (id: string) => {
      const { importedIds = [], dynamicallyImportedIds = [] } = build.getModuleInfo(id) ?? {}
      return [...importedIds, ...(later ? dynamicallyImportedIds : [])]
    }
    const contentOf = (name: string) => {
      const chunk = bundle[name]
      if (chunk?.type !== 'chunk') return []
      return [...chunk.moduleIds, ...chunk.imports, ...(later ? chunk.dynamicImports : [])]
    }
    // The bundler leaves out modules that a page imports without need, and may put modules of several pages into one chunk.
    const chunks = chunksOf(page)
    return (
      reaches(page, isCallback, modulesOf) &&
      (!chunks.length || chunks.some((name) => reaches(name, isCallback, contentOf)))
    )
  }
  const pages = [...build.getModuleIds()].filter(
    (id) => id.endsWith('.html') && build.getModuleInfo(id)?.isEntry,
  )
  const atOnce = pages.filter((page) => calls(page, false))
  const later = pages.filter((page) => calls(page, true))
  const found = atOnce.length ? atOnce : later
  const others = pages.filter((page) => !found.includes(page))
  return { found, others, doubtful: others.filter((page) => later.includes(page)) }
}

/** The part of Rolldown's interface, and of Rollup's, that is used here. */
type Bundler = (options: object) => Promise<{ generate(options: object): Promise<{ output: Output[] }> }>
interface Output {
  code: string
}
/** A node of a script's syntax (ESTree). */
interface Node {
  type: string
  start: number
  end: number
  [key: string]: unknown
}

/** A bundler that writes one file. */
interface OneFile {
  bundle(options: object): Promise<Output[]>
  /** True if what a script imports later runs at once in the one file. */
  runsAtOnce: boolean
}

/** Resolves with the bundler of this build. Vite 8 has Rolldown, which prints the code again, and earlier versions Rollup. */
const bundlerOf = async ({ meta }: Build, { root, build }: Vite): Promise<OneFile> => {
  const [{ createRequire }, { pathToFileURL }] = await Promise.all([
    import('node:module'),
    import('node:url'),
  ])
  const vite = createRequire(`${root}/package.json`).resolve('vite')
  const load = async (name: string) =>
    import(/* webpackIgnore: true */ pathToFileURL(createRequire(vite).resolve(name)).href)
  const run = async (bundler: Bundler, more: object, options: object) =>
    (await (await bundler(options)).generate({ format: 'es', ...more })).output
  if (meta.rolldownVersion) {
    const { rolldown } = await load('rolldown')
    const more = { minify: build.minify !== false, codeSplitting: false }
    return { bundle: (options) => run(rolldown, more, options), runsAtOnce: false }
  }
  const { rollup } = await load('rollup')
  return { bundle: (options) => run(rollup, { inlineDynamicImports: true }, options), runsAtOnce: true }
}

/** The import that loads a page's scripts in their order. */
const ENTRY = 'strongroom-callback'
/** Precedes the name of a file of the app, until the address of the importing file is known. */
const APP = 'strongroom-app:'

/** Matches the list of files that Vite loads before an import: scripts that are merged would be refused by the policy. */
const PRELOADED = /^const __vite__mapDeps=.*=>i\.map\(i=>d\[i\]\)/

/** Matches the address at which `page/load.ts` requests a file again. In one file, no import fails. */
const AGAIN = /again=\$\{[\w$]+\}`$/

/** Merges scripts of a page with all that they import, now or later. Only the app stays outside. */
const merge = async (
  build: Build,
  bundle: Bundle,
  page: string,
  scripts: string[],
  apps: Set<string>,
  vite: Vite,
  { dirname, join, relative }: typeof posix,
): Promise<{ code: string; loadsMore: boolean }> => {
  const home = dirname(scripts[0] ?? '')
  const fromHome = (name: string) => `./${relative(home, name)}`
  const outside: string[] = []
  const inside: string[] = []
  /** The addresses of the option `app` in each script. */
  const options = new Map<string, Set<string>>()
  const resolve = (source: string, importer: string, isLater: boolean) => {
    const name = join(dirname(importer), source)
    const chunk = bundle[name]
    if (chunk?.type !== 'chunk') {
      outside.push(source)
      return { id: source, external: true }
    }
    const isApp = chunk.moduleIds.some((id) => apps.has(id)) || options.get(importer)?.has(source)
    if (isLater && isApp) return { id: APP + name, external: true }
    if (isLater) inside.push(source)
    return name
  }
  const inBundle = {
    name: ENTRY,
    resolveId: (source: string, importer: string | undefined, { kind }: { kind?: string }) =>
      importer ? resolve(source, importer, kind === 'dynamic-import') : source,
    // Rollup does not tell the kind.
    resolveDynamicImport: (source: unknown, importer: string) =>
      typeof source === 'string' ? resolve(source, importer, true) : null,
    load(this: { parse(code: string): Node }, name: string) {
      if (name === ENTRY) return scripts.map((one) => `import ${JSON.stringify(`./${one}`)}`).join('\n')
      const { code } = bundle[name] as Chunk
      const syntax = this.parse(code)
      const loaded = find(syntax, isAppOption).flatMap((option) => find(option, isImport))
      options.set(name, new Set(loaded.map(({ source }) => textOf(source as Node, code))))
      // The script's relative addresses are those of its own folder.
      const address = `new URL(${JSON.stringify(fromHome(name))},import.meta.url).href`
      const moved = find(syntax, isOwnAddress).reduceRight(
        (text, { start, end }) =>
          dirname(name) === home ? text : text.slice(0, start) + address + text.slice(end),
        code,
      )
      return loaded.length ? moved : moved.replace(PRELOADED, '$&.filter((file) => !/\\.js$/.test(file))')
    },
    renderChunk(this: { parse(code: string): Node }, code: string) {
      const sources = find(this.parse(code), isImport).map(({ source }) => source as Node)
      const computed = sources
        .filter((source) => !isText(source))
        .map(({ start, end }) => code.slice(start, end))
      outside.push(...computed.filter((source) => !AGAIN.test(source)))
    },
  }
  const { bundle: bundleScripts, runsAtOnce } = await bundlerOf(build, vite)
  const [output, ...more] = await bundleScripts({ input: ENTRY, plugins: [inBundle], logLevel: 'silent' })
  if (more.length) throw invalid(`the script of ${page} did not become one file: use Vite 8 or newer`)
  if (runsAtOnce && inside.length)
    throw invalid(
      `the script of ${page} imports ${inside.join(', ')} later, which this version of Vite would run at once: import it at the beginning, write the import into the option \`app\`, or use Vite 8`,
    )
  if (outside.length)
    throw invalid(
      `the script of ${page} imports ${outside.join(', ')}, which the hash in the page does not cover: all that callback.ts imports must be part of the build (docs/callback-page.md)`,
    )
  const code = output!.code.replace(new RegExp(`${APP}([^"'\`]+)`, 'g'), (_, name) => fromHome(name))
  return { code, loadsMore: code !== output!.code }
}

/** Returns the nodes of this kind within a node, in their order. */
const find = (node: unknown, is: (node: Node) => boolean): Node[] => {
  if (typeof node !== 'object' || node === null) return []
  const within = Object.values(node).flatMap((child) => find(child, is))
  return is(node as Node) ? [node as Node, ...within] : within
}
const isImport = ({ type }: Node) => type === 'ImportExpression'
const isAppOption = ({ type, key }: Node) => type === 'Property' && (key as Node)['name'] === 'app'
/** Returns true for `import.meta.url`. */
const isOwnAddress = ({ type, object, property }: Node) =>
  type === 'MemberExpression' &&
  (object as Node).type === 'MetaProperty' &&
  (property as Node)['name'] === 'url'
const isText = ({ type, expressions }: Node) =>
  type === 'Literal' || (type === 'TemplateLiteral' && !(expressions as Node[]).length)
/** Returns the text of a string or of a template without expressions. */
const textOf = ({ start, end }: Node, code: string) => code.slice(start + 1, end - 1)

/** Matches the address of a script in its tag. */
const SRC = /\ssrc=["']?([^"'\s>]+)["']?/i

/** Matches a comment, or a script with its attributes. */
const SCRIPT = /\s*(?:<!--(?:-?>|[^]*?(?:--!?>|$))|<script\b([^>]*)>[^]*?(?:<\/script\b[^>]*>|$))/gi

/** Matches the attributes of data, and of an import map. The MIME types of JavaScript contain `script`. */
const NO_CODE = /\stype=["']?(importmap\b|[\w.+-]+\/(?![^"'\s]*script))/i

/** Returns the attributes of the scripts that a browser runs. */
const codeTags = (html: string): string[] =>
  [...html.matchAll(SCRIPT)].flatMap(([, tag]) => (tag === undefined || NO_CODE.test(tag) ? [] : tag))

/** Returns the HTML of the callback page with its one script, in place of the scripts that Vite has written. */
const withOneScript = (
  html: string,
  page: string,
  isReplaced: (address: string) => boolean,
  attributes: string,
  loadsMore: boolean,
): string => {
  let isWritten = false
  const written = html
    .replace(/\s*<link\b[^>]*\brel="?modulepreload\b[^>]*>/gi, '')
    .replace(SCRIPT, (tag, others?: string) => {
      if (others === undefined) return tag
      const [, kind] = NO_CODE.exec(others) ?? []
      // The page's policy would refuse an import map, which only the app's scripts can need.
      if (kind) return kind.toLowerCase() === 'importmap' && !loadsMore ? '' : tag
      const [, address] = SRC.exec(others) ?? []
      if (address === undefined || !isReplaced(address)) return tag
      if (isWritten) return ''
      isWritten = true
      const kept = others.replace(SRC, '').replace(/\sintegrity=("[^"]*"|'[^']*'|[^\s>]*)/i, '')
      return `\n    <script${kept} ${attributes}></script>`
    })
  if (!isWritten || codeTags(written).length > 1)
    throw invalid(
      `${page} must have one script, which calls finishLogin(): remove the others (docs/callback-page.md)`,
    )
  return written
}

/**
 * Reads a page and its script again, which other plugins may have changed, after all files were written.
 *
 * @throws `StrongroomError` `config_invalid` if the browser would refuse the script, or run another one.
 */
export const checkWritten = async (
  folder: string,
  { page, script, integrity }: HashedPage,
): Promise<void> => {
  const [{ readFile }, { createHash }] = await Promise.all([
    import('node:fs/promises'),
    import('node:crypto'),
  ])
  const [html, code] = await Promise.all([
    readFile(`${folder}/${page}`, 'utf8'),
    readFile(`${folder}/${script}`),
  ])
  const tags = codeTags(html)
  const hash = `sha384-${createHash('sha384').update(code).digest('base64')}`
  if (hash === integrity && tags.length === 1 && tags[0]!.includes(`integrity="${integrity}"`)) return
  throw invalid(
    `${page} was changed after its hash was written, so the browser would refuse its script, or run another one: another plugin adds to ${script} or to the page, and must leave both alone (docs/callback-page.md)`,
  )
}

/**
 * Returns the HTML with a policy that allows this script, and no other. The header's policy says which worker the page may
 * start: without a directive for workers, this one would forbid each.
 */
const withPolicy = (html: string, integrity: string): string => {
  const policy = `<meta http-equiv="Content-Security-Policy" content="script-src '${integrity}'; worker-src 'self'">`
  // Comments may stand before each of these.
  return html.replace(/^(\s*<(!--[^]*?--|!doctype\b[^>]*|html\b[^>]*|head\b[^>]*)>)*/i, `$&\n    ${policy}`)
}
