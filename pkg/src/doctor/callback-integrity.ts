/**
 * The line about the callback page's scripts. The browser must run them, and script of other pages must not be able to
 * replace them in a cache of the app's service worker. The page must therefore name the hash of each file that it loads.
 */
import { type Deployment, policiesOf, serviceWorkerOf } from './deployment.js'
import { importsOthers } from './imports.js'
import { admitsAll, permitsWorkers, sourcesOf, written } from './policy.js'
import { check, fault, unseen, unused, type Verdict } from './report.js'
import { type Reply, seenOf } from './requests.js'
import { hashOf, isHash, permitsFile } from './script-hashes.js'
import { filesOf, hashesIn, hashesOf, inlineOf, isScript } from './scripts.js'

/** The fix if the callback page's script imports other files. */
const BUNDLED =
  'bundle all that callback.ts imports into one file, and write its hash into the page, as viteHeaders() does (docs/callback-page.md)'

/** Judges the scripts of the callback page. */
export const callbackIntegrity = async (deployment: Deployment, callback: Reply): Promise<Verdict> => {
  const { requests, policies, origin } = deployment
  const ofCallback = policiesOf(callback)
  const imports = inlineOf(callback, isScript).map(importsOthers)
  let others = hashesIn(callback)
  let open: { attributes: string; hash: string } | undefined
  for (const file of filesOf(callback)) {
    const { address, attributes } = file
    const script = await requests.send(file.href)
    if (script.status !== 200 || script.isPartial)
      return unseen(`the callback page's script ${address} was not read (${seenOf(script)})`)
    const hashes = hashesOf(attributes)
    const hash = hashOf(script, 'sha384')
    const isWrong = hashes.length > 0 && !hashes.some((one) => one === hashOf(script, one.slice(0, 6)))
    if (isWrong || !permitsFile(ofCallback, file, origin))
      return fault(
        'the browser refuses this script of the callback page, so no login can end',
        `<script${attributes}>${isWrong ? '' : ` with ${written(ofCallback, 'script-src-elem')}`}`,
        `integrity="${hash}" in this tag, and '${hash}' in a policy that names hashes: write them after the build's last step`,
      )
    const isImporting = importsOthers(script.body)
    imports.push(isImporting)
    if (isImporting && hashes.length) others--
    if (!hashes.length) open ??= { attributes, hash }
  }
  if (!imports.length) return unseen('no script was seen in the callback page, which must call finishLogin()')
  // The hash of an imported file must be elsewhere in the page, such as in an import map (measured in Chromium).
  const isUnnamed = imports.includes(true) && others <= 0
  if (isUnnamed && ofCallback.some((one) => sourcesOf(one, 'script-src-elem')?.every(isHash)))
    return fault(
      "the browser refuses what the callback page's script imports, so no login can end",
      written(ofCallback, 'script-src-elem'),
      BUNDLED,
    )
  const isOpen = open !== undefined || isUnnamed
  const serviceWorker = serviceWorkerOf(deployment)
  if (serviceWorker === undefined) {
    if (!permitsWorkers(policies, (sources) => admitsFolder(sources, origin)))
      return unused(`${written(policies, 'worker-src')}: no service worker can be registered`)
    if (isOpen)
      return unseen(
        'no service worker was seen: with one, the callback page must name the hash of all that its script loads',
      )
  }
  if (!isOpen && (callback.isPartial || imports.some((one) => one !== false)))
    return unseen(
      'it was not seen if the callback page names the hash of all that its script loads: it must import nothing',
    )
  const what = open
    ? "script of other pages can replace the callback page's script"
    : "the callback page's script imports others, which script of other pages can replace"
  return check(
    "the callback page names the hash of its script, so it runs nothing else from a service worker's cache",
    isOpen && `${what} in a cache of ${serviceWorker}`,
    open ? `<script${open.attributes}>` : 'import in a script',
    imports.includes(true) ? BUNDLED : `integrity="${open?.hash}" in this tag`,
  )
}

/** Returns true if one of the sources admits a whole folder of the origin. */
const admitsFolder = (sources: string[], origin: string): boolean =>
  admitsAll(sources, origin) || sources.some((one) => one.startsWith(`${origin}/`) && one.endsWith('/'))
