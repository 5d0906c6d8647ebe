/** `strongroom metadata`: writes the provider's metadata into a file of the app, or compares the file with them. */
import { writeFile } from 'node:fs/promises'
import type { VaultConfig } from '../../worker/config.js'
import { readConfig } from '../configuration.js'
import { loadJudge } from '../../headers/core.js'
import { Failure, UsageError } from '../options.js'
import { printable } from '../report.js'
import { isPrivateUrl, Requests } from '../requests.js'
import { checkIssuer, type MetadataOptions } from './command-line.js'
import { type MetadataFile, openFile } from './file.js'
import { readLive } from './live.js'
import { describe, type Difference, differencesOf, type Members } from './pinned.js'

const USER_AGENT = 'strongroom-metadata'

/** Does what the options ask for. Resolves with what is to be printed. @throws UsageError, Failure */
export const pinMetadata = async (options: MetadataOptions): Promise<{ text: string; differs: boolean }> => {
  const config = options.config === undefined ? undefined : await configOf(options)
  const path = options.out ?? (/\.json$/i.test(options.config ?? '') ? options.config : undefined)
  const file = path === undefined ? configAsFile(options, config) : await openFile(path)
  const issuers = issuersOf(options, config, file)
  issuers.forEach(checkIssuer)
  const judge = await loadJudge()
  let text = ''
  let differs = false
  const failures: string[] = []
  for (const issuer of issuers) {
    const { allowsPrivate, userAgent = USER_AGENT, checks } = options
    const requests = new Requests(allowsPrivate || isPrivateUrl(new URL(issuer)), userAgent)
    const found = await readLive(issuer, requests, judge).catch((error: Error) => {
      if (!(error instanceof Failure)) throw error
      failures.push(error.message)
    })
    // The others are compared, and written, nevertheless.
    if (!found) continue
    const { members: live, ignored } = found
    const pinned = file.pinned.get(issuer)
    const differences = differencesOf(pinned, live)
    if (differences.length) differs = true
    if (differences.length && !checks) await write(path!, issuer, live)
    text += reportOf(issuer, pinned, differences, checks, path)
    if (ignored.length)
      text += `  members that the vault ignores, because they are not usable addresses: ${ignored.join(', ')}\n`
  }
  if (failures.length) throw new Failure(printable([text, ...failures].join('\n').trim()))
  if (differs && options.checks) text += `\nTo write it: npx strongroom metadata ${argumentsFor(options)}\n`
  return { text: printable(text), differs: differs && options.checks }
}

/** Writes the metadata of one issuer. The file is read again, because it may have those of another issuer by now. */
const write = async (path: string, issuer: string, live: Members): Promise<void> => {
  const file = await openFile(path)
  const at = new Date().toISOString().slice(0, 10)
  await writeFile(path, file.with(issuer, { at, ...live })).catch((error: Error) => {
    throw new Failure(`${path} cannot be written: ${error.message}`)
  })
}

const configOf = async ({ config }: MetadataOptions): Promise<VaultConfig> => {
  const found = await readConfig(config!)
  if (typeof found.issuer !== 'string') throw new Failure(`${config} has no issuer`)
  if ('client' in found || 'routes' in found) {
    throw new Failure(`${config} is a token handler's configuration, which has no \`pinned\``)
  }
  return found
}

/** Returns the configuration in the place of a file, which can only be compared. */
const configAsFile = ({ checks, config }: MetadataOptions, found: VaultConfig | undefined): MetadataFile => {
  if (found && checks) {
    return { pinned: new Map([[found.issuer, found.pinned]]), with: () => '' }
  }
  const why = config === undefined ? '' : `, because ${config} is not JSON`
  throw new UsageError(`--out is missing${why}: name the file, such as --out auth.metadata.ts`)
}

const issuersOf = (
  { issuer, config: path }: MetadataOptions,
  config: VaultConfig | undefined,
  { pinned }: MetadataFile,
): string[] => {
  if (config && issuer !== undefined && config.issuer !== issuer) {
    throw new UsageError(`${path} has the issuer ${config.issuer}, and not ${issuer}`)
  }
  const named = issuer ?? config?.issuer
  if (named !== undefined) return [named]
  if (!pinned.size) {
    throw new UsageError(
      'the issuer is missing, such as https://id.example.com: the file does not exist, or has no metadata yet',
    )
  }
  return [...pinned.keys()]
}

const reportOf = (
  issuer: string,
  pinned: unknown,
  differences: Difference[],
  checks: boolean,
  path: string | undefined,
): string => {
  const { at } = (pinned ?? {}) as { at?: unknown }
  const since = typeof at === 'string' ? ` since ${at}` : ''
  if (!differences.length) return `${issuer}: unchanged${since}\n`
  if (pinned === undefined)
    return `${issuer}: ${checks ? 'not pinned' : `written to ${path}`}\n${nextStep(issuer, checks, path)}`
  const count = `${differences.length} ${differences.length === 1 ? 'member has' : 'members have'}`
  const done = checks ? '' : `, written to ${path}`
  return `${issuer}: ${count} changed${since}${done}\n${describe(differences)}`
}

/** Returns what a module still needs after it was written for the first time. */
const nextStep = (issuer: string, checks: boolean, path: string | undefined): string => {
  if (checks || path === undefined || /\.json$/i.test(path)) return ''
  const name = path.replace(/^.*[\\/]/, '')
  return `  In the configuration: import { metadata } from './${name}', and pinned: metadata['${issuer}']\n`
}

/** Returns the arguments that write what --check has compared. */
const argumentsFor = ({ issuer, config, out }: MetadataOptions): string =>
  [
    ...(issuer === undefined ? [] : [issuer]),
    ...(config === undefined ? [] : ['--config', config]),
    ...(out !== undefined ? ['--out', out] : /\.json$/i.test(config ?? '') ? [] : ['--out FILE']),
  ].join(' ')
