/** The configuration, from a file or from the site. */
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { version } from 'node:process'
import { pathToFileURL } from 'node:url'
import type { VaultConfig } from '../worker/config.js'
import type { HandlerConfig } from './deployment.js'
import { UsageError } from './options.js'

/** The configurations that the command names, and their files. */
export interface Configurations {
  vault?: VaultConfig
  handler?: HandlerConfig
  files: { vault?: string; handler?: string }
}

/** Reads the configurations of vault and token handler from files. @throws UsageError */
export const readConfigs = async (paths: string[]): Promise<Configurations> => {
  const found: Configurations = { files: {} }
  for (const path of paths) {
    const config = await readConfig(path)
    const kind = isOfHandler(config) ? 'handler' : 'vault'
    if (found[kind])
      throw new UsageError(
        `${found.files[kind]} and ${path} are of the same kind: --config may be given for the vault, and for the token handler`,
      )
    Object.assign(found, { [kind]: config })
    found.files[kind] = path
  }
  return found
}

/** Returns true for the configuration of a token handler, which has a client with a secret in place of `clientId`. */
const isOfHandler = (config: object): boolean =>
  !('clientId' in config) && !('apis' in config) && ('client' in config || 'routes' in config)

/** Reads the configuration from a file. @throws UsageError */
export const readConfig = async (file: string): Promise<VaultConfig> => {
  const config = /\.json$/i.test(file) ? await readJson(file) : await readModule(file)
  if (typeof config === 'object' && config !== null && !Array.isArray(config)) return config as VaultConfig
  throw new UsageError(`${file} has no configuration: it must be an object`)
}

const readJson = async (file: string): Promise<unknown> => {
  const text = await readFile(file, 'utf8').catch((error) => {
    throw new UsageError(`${file} cannot be read: ${error.message}`)
  })
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new UsageError(`${file} is not valid JSON: ${(error as Error).message}`)
  }
}

const readModule = async (file: string): Promise<unknown> => {
  const found: Record<string, unknown> = await import(pathToFileURL(resolve(file)).href).catch((error) => {
    throw new UsageError(/\.[mc]?ts$/.test(file) && isType(error) ? noTypes(file) : cannot(file, error))
  })
  const config = found['config'] ?? found['default']
  if (isHandler(config ?? found['handler']))
    throw new UsageError(
      `${file} exports a token handler, which does not show its configuration: write it as \`export const config = { … }\`, and createTokenHandler(config)`,
    )
  if (config === undefined) {
    throw new UsageError(
      `${file} exports neither \`config\` nor a default, so its configuration is not known`,
    )
  }
  return config
}

const isHandler = (value: unknown): boolean =>
  typeof (value as { fetch?: unknown } | undefined)?.fetch === 'function'

/** Returns true if Node did not read the file because it is TypeScript. */
const isType = ({ code, name }: Error & { code?: string }) =>
  code === 'ERR_UNKNOWN_FILE_EXTENSION' || name === 'SyntaxError'

const cannot = (file: string, { message }: Error) => {
  const [, missing] = /^Cannot find module '([^']+)'/.exec(message) ?? []
  const fix =
    missing === undefined || /\.([cm]?[jt]s|json)$/.test(missing)
      ? ''
      : `. Node needs the extension in an import, such as './${missing.replace(/^.*[\\/]/, '')}.ts', and TypeScript then needs allowImportingTsExtensions`
  return `${file} cannot be imported: ${message}${fix}`
}

/** Node reads TypeScript since 22.18 and 23.6, and since 22.6 with an option. */
const noTypes = (file: string): string => {
  const [major = 0, minor = 0] = version.slice(1).split('.').map(Number)
  const module = file.replace(/^.*[\\/]|[cm]?ts$/g, '') + 'doctor.mjs'
  const hasOption = (major === 22 && minor >= 6) || major > 22
  return `Node ${version} does not read TypeScript in ${file}: ${
    hasOption
      ? 'run the command again with NODE_OPTIONS=--experimental-strip-types'
      : `use Node 22.18 or later, or run \`npx --yes esbuild ${file} --bundle --format=esm --platform=node --outfile=${module}\` and pass --config ${module}`
  }`
}
