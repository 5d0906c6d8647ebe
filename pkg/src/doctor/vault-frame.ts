/** The lines about a vault on its own origin (docs/vault-origin.md): its frame, and the page of the app around it. */
import { vaultOriginHeaders } from '../headers/index.js'
import { checkCallback } from './callback-page.js'
import { deletion } from './clear-site-data.js'
import {
  type Deployment,
  headerLine,
  namedVaultFile,
  policiesOf,
  needsPath,
  SOME_WORKER,
} from './deployment.js'
import { admits, Correction, lineOf, opensCode, parsePolicies, permits, written } from './policy.js'
import { check, type Verdict } from './report.js'
import { seenHeader, seenOf } from './requests.js'
import { wrongHeaders } from './wrong-headers.js'

/**
 * Checks the frame and the callback page. Resolves with the deployment on the vault's origin, for the lines that follow.
 */
export const checkVaultFrame = async (app: Deployment, url: URL): Promise<Deployment> => {
  const { report, requests, options, config } = app
  const mayShow = permits(app.policies, 'frame-src', (sources) => admits(sources, url.href, app.origin))
  report.check(
    'page.frame-src',
    `the page may show ${url.href}`,
    !mayShow && 'the policy of the page blocks the frame',
    written(app.policies, 'frame-src'),
    new Correction(app.policies).set(`frame-src ${url.origin}`),
  )
  const headers = { 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': 'iframe' }
  const page = await requests.send(url.href, { headers })
  const { worker: _, ...rest } = app
  const vault: Deployment = {
    ...rest,
    origin: url.origin,
    page,
    policies: policiesOf(page),
    needsWorker: true,
  }
  const worker = options.worker ?? namedVaultFile(vault)
  if (worker !== undefined) vault.worker = worker
  const isPage = page.status === 200 && /html/.test(page.header('content-type') ?? '')
  report.check(
    'vault.frame',
    `${url.href} is a page`,
    !isPage && 'the frame is not a page',
    seenOf(page),
    `let the server send the frame's page for ${url.pathname}, with status 200 and without a redirect`,
  )
  const site = siteOf(options.url)
  report.check(
    'vault.site',
    'app and vault are one site',
    siteOf(url) !== site && 'app and vault are two sites, so browsers give the frame no cookies',
    `${options.url.hostname} and ${url.hostname}`,
    `use a name below ${site} for the vault`,
  )
  if (!isPage || !config) return vault
  const wanted = vaultOriginHeaders(config, {
    origin: url.origin,
    apps: [app.origin],
    worker: worker ?? SOME_WORKER,
    ...(app.metadata && { metadata: app.metadata }),
  })
  report.add('vault.frame-headers', frameHeaders(vault, app.origin, wanted.frame))
  report.add('page.clear-site-data', deletion(vault))
  await checkCallback(vault, wanted.callback)
  return vault
}

/** Judges whether the app, and nothing else, may show the frame. */
const frameHeaders = (
  { page, policies, origin, worker }: Deployment,
  app: string,
  wanted: Record<string, string>,
): Verdict => {
  const wrong = new Set(wrongHeaders(page, wanted))
  const isShown = permits(policies, 'frame-ancestors', (sources) => admits(sources, `${app}/`, origin))
  const policy = 'Content-Security-Policy'
  if (!isShown) wrong.add(policy)
  const names = [...wrong]
  const [right] = parsePolicies(wanted[policy])
  const differences = names.flatMap((name) =>
    name === policy
      ? [
          [written(policies, 'frame-ancestors'), lineOf(right!, 'frame-ancestors')],
          [written(policies, opensCode(policies) ?? 'script-src'), lineOf(right!, 'script-src')],
        ]
          .filter(([seen, wanted]) => seen !== wanted)
          .map(([seen, wanted]) => `its policy has ${seen}, not ${wanted}`)
      : name,
  )
  return check(
    'the frame has its headers, and only the app may show it',
    names.length > 0 && `the frame has wrong headers: ${differences.join(', ')}`,
    names.map((name) => seenHeader(page, name)).join('\n'),
    names
      .map((name) =>
        name === policy && worker === undefined
          ? `${name}: ${needsPath('the whole policy')}`
          : headerLine(wanted, name),
      )
      .join('\n'),
  )
}

/** Suffixes below which each name is a site of its own: those of countries, such as `co.uk`, and of well-known hosts. */
const SUFFIX =
  /(^|\.)((ac|co|com|edu|go|gov|ne|net|or|org)\.[a-z]{2}|(github|gitlab)\.io|(deno|pages|workers)\.dev|(azurestaticapps|cloudfront|fly|herokuapp|netlify|onrender|vercel|web)\.(app|com|dev|net))$/

/** Returns the site of a host name: two labels, or three. Only a list of public suffixes would know all. */
export const siteOf = ({ hostname }: { hostname: string }): string =>
  hostname
    .split('.')
    .slice(SUFFIX.test(hostname) ? -3 : -2)
    .join('.')
