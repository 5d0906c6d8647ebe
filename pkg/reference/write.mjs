/**
 * Writes the reference of the package: one Markdown page for each entry, from the declarations in pkg/dist. A page that
 * lacks an export, a link that leads nowhere, and a type that is used but not exported are errors.
 *
 *   node pkg/reference/write.mjs [folder]
 *
 * The default folder is target/reference. `cargo xtask reference` builds the declarations first.
 */
import { readdir, readFile, rm } from 'node:fs/promises'
import { relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { installLocked } from '../../tests/support/install.mjs'

const at = (path) => fileURLToPath(new URL(path, import.meta.url))

/** Resolves with the entries of the package: their names for an import, and their declarations. */
export async function entries() {
  const { exports } = JSON.parse(await readFile(at('../package.json'), 'utf8'))
  const types = (entry) => entry.types ?? Object.values(entry).find((value) => value?.types)?.types
  return Object.entries(exports)
    .map(([name, entry]) => [name.replace('.', 'strongroom'), typeof entry === 'object' && types(entry)])
    .filter(([, declarations]) => declarations)
    .map(([name, declarations]) => ({ name, file: at(`../${declarations}`) }))
}

/** Returns the name that TypeDoc gives to the module of a file. */
const moduleName = (file) => relative(at('../dist'), file).replace(/(\/index)?\.d\.ts$/, '')

/** Types that describe an object of another library, which users pass on as it is. */
const OF_OTHERS = [
  'AnyWorker',
  'Destination',
  'KvAtomic',
  'KvEntry',
  'SessionsNamespace',
  'SessionsState',
  'ViteBuild',
  'ViteServer',
  'ViteTag',
]

/** Writes the pages into `folder`. Rejects if TypeDoc warns. */
export async function write(folder) {
  await installLocked(new URL('./', import.meta.url))
  const { Application, Converter, LogLevel } = await import('typedoc')
  const all = await entries()
  const app = await Application.bootstrapWithPlugins({
    entryPoints: all.map(({ file }) => file),
    plugin: ['typedoc-plugin-markdown'],
    tsconfig: at('tsconfig.json'),
    outputs: [{ name: 'markdown', path: folder }],
    router: 'module',
    readme: 'none',
    name: 'Reference',
    logLevel: LogLevel.Warn,
    treatWarningsAsErrors: true,
    disableSources: true,
    intentionallyNotExported: OF_OTHERS,
    excludeExternals: true,
    hideBreadcrumbs: true,
    hidePageHeader: true,
    parametersFormat: 'table',
    interfacePropertiesFormat: 'table',
    classPropertiesFormat: 'table',
    typeDeclarationFormat: 'table',
    tableColumnSettings: { hideSources: true, hideOverrides: true, hideInherited: true, hideModifiers: true },
  })
  // TypeDoc names a module by its file. Users know the name of the import.
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const module of project.children) {
      module.name = all.find(({ file }) => moduleName(file) === module.name).name
    }
  })
  const project = await app.convert()
  if (project) {
    app.validate(project)
    await rm(folder, { recursive: true, force: true })
    await app.generateOutputs(project)
  }
  if (!project || app.logger.hasErrors() || app.logger.hasWarnings()) {
    throw new Error('TypeDoc has warnings: see above')
  }
  return all
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const folder = process.argv[2] ?? at('../../target/reference')
  await write(folder)
  const pages = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.md'))
  console.log(`  ✓ reference: ${pages.length} pages in ${folder}`)
}
