/** The page's scripts, and the path of the worker's file, which they name. */
import type { Deployment } from './deployment.js'
import { scriptsOf } from './scripts.js'

/** The maximum number of the page's scripts that are read, and of files that may be the worker's. */
const MAX_FILES = 10

/** Matches the place where a script creates a worker, with the address that bundlers write there. */
const CREATION = /\bnew\s+(?:Shared)?Worker\(.{0,60}?(["'`])([^"'`\s]+\.m?js)\1/gs

/** Matches the address of a file with this word in its name, for scripts that keep the address in a variable. */
const NAME = /(["'`])([^"'`\s]*worker[^"'`\s]*\.m?js)\1/gi

/** Matches a file of the package that the page imports. */
const OWN = /\/worker-failure[^/]*$/

/** Reads the page's scripts on the app's own origin. */
export const readScripts = async (deployment: Deployment): Promise<void> => {
  const { requests, page, origin } = deployment
  if (page.status !== 200) return
  const own = [...new Set(scriptsOf(page))].filter((url) => new URL(url).origin === origin)
  for (const url of own.slice(0, MAX_FILES)) {
    const script = await requests.send(url)
    if (script.status === 200) deployment.scripts.push(script)
  }
}

/** Looks in the page's scripts for the worker with the vault, whose file names the package. */
export const findWorker = async (deployment: Deployment): Promise<void> => {
  const { requests, origin, scripts } = deployment
  const seen = new Set<string>()
  for (const { url: script, body } of scripts) {
    for (const [, , address] of [...body.matchAll(CREATION), ...body.matchAll(NAME)]) {
      if (!URL.canParse(address!, script)) continue
      const url = new URL(address!, script)
      if (url.origin !== origin || seen.has(url.pathname) || OWN.test(url.pathname)) continue
      if (seen.size === MAX_FILES) return
      seen.add(url.pathname)
      const file = await requests.send(url.href)
      // For a missing file, many servers send the app's page, which may also name the package.
      const isPage = /html/.test(file.header('content-type') ?? '')
      if (file.status !== 200 || isPage || !/strongroom/.test(file.body)) continue
      deployment.started = url.pathname
      deployment.worker ??= url.pathname
      if (deployment.worker === url.pathname) deployment.workerFile = file
      return
    }
  }
}
