/** The response headers for each host, as `strongroom/headers` generates them. */
import {
  cloudflareHeaders,
  netlifyHeaders,
  nextHeaders,
  nginxHeaders,
  securityHeaders,
  type HeaderConfig,
  type HeaderOptions,
  type ResponseHeaders,
} from 'strongroom/headers'

interface Host {
  /** The name of the file. */
  file: string
  print(config: HeaderConfig, options: HeaderOptions): string
  /** The rest that the host needs. Parts between backticks are code. */
  note: string
  /** The section about the host in docs/deployment.md. */
  section: string
}

/** The hosts, by the names that the page shows. */
export const HOSTS: Record<string, Host> = {
  'Any server': {
    file: 'HTTP response headers',
    print(config, options) {
      const { page, callback, worker } = securityHeaders(config, options)
      return [
        section('All pages', page),
        section(`The callback page`, callback),
        section(options.worker, worker),
      ]
        .filter(Boolean)
        .join('\n')
    },
    note: 'Also respond with 403 to requests with the header `Service-Worker: script`.',
    section: 'hosts',
  },
  nginx: {
    file: 'nginx.conf',
    print(config, options) {
      const { http, server } = nginxHeaders(config, options)
      return `# in the block http\n${http}\n# in the block server\n${server}`
    },
    note: 'These lines also respond with 403 to requests with the header `Service-Worker: script`.',
    section: 'nginx',
  },
  'Cloudflare Pages': {
    file: '_headers',
    print: cloudflareHeaders,
    note: 'This file cannot respond with 403 to requests with the header `Service-Worker: script`: add a WAF rule.',
    section: 'cloudflare-pages',
  },
  Netlify: {
    file: '_headers',
    print(config, options) {
      const { pathname } = new URL(config.redirectUri ?? '/', options.origin)
      // A callback page has a block of its own.
      const documents = config.callbackPage ? ['/'] : [...new Set(['/', pathname])]
      return NETLIFY_PATHS + netlifyHeaders(config, { ...options, documents })
    },
    note: 'Only the pages in this file get the policy: add the paths of all others. For the 403 to requests with the header `Service-Worker: script`, add the edge function `refuse.ts`.',
    section: 'netlify',
  },
  Vercel: {
    file: 'vercel.json',
    print: (config, options) => json({ headers: nextHeaders(config, options) }),
    note: 'This file cannot respond with 403 to requests with the header `Service-Worker: script`: add `middleware.ts`.',
    section: 'vercel',
  },
  'Next.js': {
    file: 'next.config.ts',
    print: (_, { origin }) => `import { nextHeaders } from 'strongroom/headers'
import { config } from './auth.config'

const options = {
  origin: '${origin}',
  worker: '/_next/static/', // the folder, because Next puts a hash into the worker's name
  // Next's pages have inline scripts.
  page: { 'script-src': ["'unsafe-inline'"], 'style-src': ["'unsafe-inline'"], 'connect-src': ["'self'"] },
}
export default { headers: () => nextHeaders(config, options) }
`,
    note: "A nonce for each request is stricter than `'unsafe-inline'`. Let `proxy.ts` respond with 403 to requests with the header `Service-Worker: script`.",
    section: 'next',
  },
  Vite: {
    file: 'vite.config.ts',
    print: (_, { worker }) => `import { viteHeaders } from 'strongroom/headers'
import { config } from './auth.config.ts'

export default {
  plugins: [viteHeaders(config, { worker: '${worker}' })],
${fixedName(worker)}}
`,
    note: 'For `vite preview` and, without the page’s policy, for the development server. Both respond with 403 to requests with the header `Service-Worker: script`. Choose also the host that serves the build.',
    section: 'vite',
  },
}

/** A comment at the top of Netlify's file, which has no rule for all pages. */
const NETLIFY_PATHS =
  '# Pages at other paths, such as /orders/*, get no policy: add a block for each, as for /\n'

/** Returns the option of Vite that gives the worker's file the name which the policy allows. */
function fixedName(worker: string): string {
  // A folder admits every name.
  if (worker.endsWith('/')) return ''
  const name = worker.slice(1).replace(/auth\.worker\.js$/, '[name].js')
  return `  // The policy allows only this name. Without this line, the worker's file gets a name with a hash.
  worker: { format: 'es', rolldownOptions: { output: { entryFileNames: '${name}' } } },
`
}

function section(title: string, headers: ResponseHeaders): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\n`)
  return lines.length ? `# ${title}\n${lines.join('')}` : ''
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`
}
