/** The lines about the policy of the app's page, and what it permits. */
import { type Deployment, fallbackOf, generated, needsPath } from './deployment.js'
import {
  admits,
  isAnywhere,
  NONCE,
  opensCode,
  parsePolicies,
  permits,
  permitsSome,
  type Policy,
  proposed,
  sourcesOf,
  written,
} from './policy.js'
import { type Directive, directive, type Judged, judgePolicies, wantedLine } from './policy-lines.js'
import { check, fault, type Rows, unseen, unused, type Verdict } from './report.js'
import { firstWords, valueOf } from './requests.js'
import { filesOf, needsNonce } from './scripts.js'
import { isHash, permitsFile } from './script-hashes.js'
import { workerSource } from './worker-source.js'

/** Judges the policy of the page. */
export const judgePolicy = async (deployment: Deployment): Promise<void> => {
  const { report, page, policies, needsWorker, worker } = deployment
  const wanted = wantedPolicy(deployment)
  if (policies.length) {
    report.ok('page.policy', 'the page has a policy')
    return judgePolicies(deployment, 'page', wanted, ROWS)
  }
  const name = 'Content-Security-Policy'
  const isReported = page.header(`${name}-Report-Only`) !== undefined
  report.fault(
    'page.policy',
    'the page has no policy',
    isReported ? `only ${name}-Report-Only, which blocks nothing` : `no ${name}`,
    needsWorker && worker === undefined ? needsPath('the whole policy') : proposed(wanted),
  )
}

/** Returns the policy that the page should have: the generated one, and what its own scripts and a token handler need. */
const wantedPolicy = (deployment: Deployment): Policy => {
  const { needsWorker, provider = [], page, policies } = deployment
  const policy = parsePolicies(generated(deployment).page['Content-Security-Policy'])[0]!
  if (needsNonce(page)) {
    const hashes = scriptSources(policies).filter(isHash)
    policy.get('script-src')!.push(...(hashes.length ? hashes : [NONCE]))
  }
  // An app with a vault sends no form to the provider.
  if (!fallbackOf(deployment)) policy.get('form-action')!.push(...provider)
  if (needsWorker) return policy
  return policy.set('connect-src', ["'self'"]).set('worker-src', ["'none'"])
}

/** Returns the sources of `<script>` elements in all policies. */
const scriptSources = (policies: Policy[]): string[] =>
  policies.flatMap((one) => sourcesOf(one, 'script-src-elem') ?? [])

/** A nonce or a hash turns `'unsafe-inline'` off. */
const isInline = (sources: string[]) =>
  sources.includes("'unsafe-inline'") &&
  !sources.some((source) => /^'(nonce-|sha\d|strict-dynamic)/.test(source))

/** Judges the sources from which the page may load code. */
const scripts = (of: Judged): Verdict => {
  const { policies, origin } = of
  const others = scriptSources(policies).filter((one) => !one.startsWith("'") && !one.startsWith(origin))
  const opening = opensCode(policies)
  return check(
    permits(policies, 'script-src-elem', isInline)
      ? "script-src permits inline scripts ('unsafe-inline'), and no code from elsewhere: a nonce is stricter"
      : `script-src permits only the scripts of ${['the app', ...new Set(others)].join(' and of ')}`,
    opening && 'script-src permits code that is not a file of the app',
    written(policies, opening ?? 'script-src'),
    wantedLine(of, 'script-src'),
  )
}

/** Judges whether the policy permits the page's own scripts. */
const ownScripts = ({ policies, page, origin }: Judged): Verdict => {
  const refused = filesOf(page).filter((file) => !permitsFile(policies, file, origin))
  return check(
    "the policy permits the page's own scripts",
    refused.length > 0 && "the policy blocks the page's own scripts, so the app does not start",
    `${firstWords(refused.map(({ address }) => address).join(', '))} with ${written(policies, 'script-src-elem')}`,
    "script-src 'self', or the nonce of each response in the header and in each <script>: a static page cannot have a nonce",
  )
}

/** Returns a function that returns true if a directive permits any server. */
const isOpen = (name: string) => (policies: Policy[]) => permitsSome(policies, name, isAnywhere)

/** Returns the function that judges a directive that must not permit any server. */
const limited = (name: string, why: string, more: Partial<Directive> = {}) =>
  directive(name, {
    good: `${name} is limited`,
    bad: `${name} is not limited: ${why}`,
    isBad: isOpen(name),
    ...more,
  })

/** Returns the text for a limited `form-action`, and which logout it blocks: browsers also check the redirect after a form. */
const limitedForms = ({ policies, provider = [], origin }: Judged): string => {
  const missing = provider.filter(
    (one) => !permits(policies, 'form-action', (sources) => admits(sources, `${one}/`, origin)),
  )
  const blocked = missing.length ? `: a form that signs out also needs ${missing.join(' and ')}` : ''
  return `form-action is limited${blocked}`
}

/** Returns true if another header limits who may show the page in a frame. */
const limitsFrames = ({ page }: Judged) => /^(deny|sameorigin)$/.test(valueOf(page, 'X-Frame-Options') ?? '')

/** Judges Trusted Types: the page must be able to create the worker's URL. */
const trustedTypes = ({ policies, needsWorker, scripts, correction }: Judged): Verdict => {
  const required = 'require-trusted-types-for'
  if (!policies.some((one) => one.has(required))) return unused('Trusted Types are not required')
  if (needsWorker && policies.some((one) => one.get('trusted-types')?.includes("'none'")))
    return fault(
      "the page may create no policy of Trusted Types, so it cannot create the worker's URL",
      written(policies, 'trusted-types'),
      correction.set('trusted-types auth-worker'),
    )
  const hasPolicy = !needsWorker || scripts.some(({ body }) => /\bcreatePolicy\b/.test(body))
  if (!hasPolicy && scripts.some(({ isPartial }) => isPartial))
    return unseen(
      'not all scripts of the page were read to their end, so it was not seen if one creates a policy of Trusted Types',
    )
  return check(
    'strings become code only by Trusted Types',
    !hasPolicy &&
      scripts.length > 0 &&
      "no script of the page creates a policy of Trusted Types, so it cannot create the worker's URL",
    written(policies, required),
    "create the worker's URL by a policy, as docs/headers.md shows, or send no require-trusted-types-for",
  )
}

/** Judges whether the page may call the token handler if it cannot use the vault. */
const fallback = (of: Judged): Verdict | undefined => {
  const { policies, wanted, origin, correction } = of
  // Another line says that no handler responds.
  if (!fallbackOf(of) || !of.routes) return undefined
  const name = 'connect-src'
  const needed = wanted.get(name)
  if (!needed) return unseen('no policy can name the paths of the handler and its routes')
  const blocked = needed.filter((source) => {
    const url = source.endsWith('/') ? `${source}doctor` : source
    return !permits(policies, name, (sources) => admits(sources, url, origin))
  })
  const present = (sourcesOf(policies[0]!, name) ?? []).filter((source) => source !== "'none'")
  return check(
    'the page may call the token handler, and its routes',
    blocked.length > 0 && `the policy blocks calls of users without WebAssembly to ${blocked.join(' and ')}`,
    written(policies, name),
    correction.set([name, ...present, ...blocked].join(' ')),
  )
}

const ROWS: Rows<Judged> = {
  'page.script-src': scripts,
  'page.scripts': ownScripts,
  'page.wasm-unsafe-eval': directive('script-src', {
    good: 'the page runs no WebAssembly: only the worker may',
    bad: "script-src of the page has 'wasm-unsafe-eval', which only the worker needs",
    isBad: (policies) =>
      policies.some((one) => sourcesOf(one, 'script-src')) &&
      permitsSome(policies, 'script-src', (source) => source === "'wasm-unsafe-eval'"),
  }),
  'page.fallback': fallback,
  'page.connect-src': directive('connect-src', {
    good: 'script in the page can send data to named addresses only',
    bad: 'script in the page can send data to any server',
    isBad: isOpen('connect-src'),
  }),
  'page.worker-src': workerSource,
  'page.base-uri': limited('base-uri', 'an injected <base> can change what relative addresses mean'),
  'page.form-action': limited('form-action', 'an injected form can send data to any server', {
    good: limitedForms,
  }),
  'page.frame-ancestors': limited('frame-ancestors', 'any site can show the page in a frame', {
    isBad: (policies, of) => isOpen('frame-ancestors')(policies) && !limitsFrames(of),
  }),
  'page.trusted-types': trustedTypes,
}
