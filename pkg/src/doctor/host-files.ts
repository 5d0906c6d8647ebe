/** The headers in the format of a host. */
import { cloudflareHeaders, netlifyHeaders, nextHeaders, nginxHeaders } from '../headers/index.js'
import { type Deployment, fallbackOf, isIsolated, serviceWorkerOf } from './deployment.js'
import { type HostName, UsageError } from './options.js'
import { seenOf } from './requests.js'

/** Returns the file of a host. Sources that the app's pages use today are kept. */
export const hostFile = (deployment: Deployment, host: HostName): string => {
  const { origin, worker, metadata, config, policies } = deployment
  if (worker === undefined) {
    const { page } = deployment
    if (page.status !== 200)
      throw new UsageError(
        `--fix-headers needs the path of the worker's file (--worker PATH), since the page was not read: ${seenOf(page)}`,
      )
    throw new UsageError(
      "--fix-headers needs the path of the worker's file, which the page does not show: --worker PATH",
    )
  }
  const fallback = fallbackOf(deployment)
  if (fallback && !deployment.handlerConfig)
    throw new UsageError("--fix-headers also needs the token handler's configuration: a second --config FILE")
  const serviceWorker = serviceWorkerOf(deployment)
  const options = {
    origin,
    worker,
    page: usedSources(deployment),
    isolated: isIsolated(deployment),
    ...(metadata && { metadata }),
    ...(fallback && { fallback }),
    ...(serviceWorker !== undefined && { serviceWorker }),
    ...(policies.some((one) => one.has('trusted-types')) && {
      trustedTypes: policies.flatMap((one) => one.get('trusted-types') ?? []),
    }),
  }
  try {
    return write(host, config!, options, new URL(config!.redirectUri, origin).pathname)
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

type Args = Parameters<typeof nextHeaders>

const write = (host: HostName, config: Args[0], options: Args[1], callback: string): string => {
  switch (host) {
    case 'cloudflare':
      return cloudflareHeaders(config, options)
    case 'netlify': {
      const documents = [...new Set(['/', '/index.html', ...(config.callbackPage ? [] : [callback])])]
      return `# Add a block for each further page of the app: see docs/deployment.md.\n${netlifyHeaders(config, { ...options, documents })}`
    }
    case 'nginx': {
      const { http, server } = nginxHeaders(config, options)
      return `# In the block http:\n${http}\n# In the block server:\n${server}`
    }
    default:
      return `${JSON.stringify({ headers: nextHeaders(config, options) }, null, 2)}\n`
  }
}

/** Directives whose sources the app's pages may need, and that open no way to run code. */
const KEPT = ['connect-src', 'font-src', 'frame-src', 'img-src', 'manifest-src', 'media-src', 'style-src']

/** Sources that the generated policy has anyway, or that no policy should have. */
const LEFT_OUT = /^(\*|https?:|wss?:|'none'|'self')$/

/** Returns the sources in the page's present policy that the generated policy lacks. */
const usedSources = ({ policies: [policy] }: Deployment): Record<string, string[]> => {
  const used: Record<string, string[]> = {}
  for (const name of KEPT) {
    const isOwn = (source: string) =>
      !LEFT_OUT.test(source) || (source === "'self'" && name !== 'img-src' && name !== 'style-src')
    const sources = (policy?.get(name) ?? []).filter(
      (one) => isOwn(one) && !(name === 'img-src' && one === 'data:'),
    )
    if (sources.length) used[name] = sources
  }
  return used
}
