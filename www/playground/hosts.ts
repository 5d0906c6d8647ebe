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
  },
  nginx: {
    file: 'nginx.conf',
    print(config, options) {
      const { http, server } = nginxHeaders(config, options)
      return `# in the block http\n${http}\n# in the block server\n${server}`
    },
  },
  'Cloudflare Pages': { file: '_headers', print: cloudflareHeaders },
  Netlify: {
    file: '_headers',
    print(config, options) {
      const { pathname } = new URL(config.redirectUri ?? '/', options.origin)
      // A callback page has a block of its own.
      const documents = config.callbackPage ? ['/'] : [...new Set(['/', pathname])]
      return netlifyHeaders(config, { ...options, documents })
    },
  },
  Vercel: {
    file: 'vercel.json',
    print: (config, options) => json({ headers: nextHeaders(config, options) }),
  },
  'Next.js': {
    file: 'next.config.ts',
    print: (config, options) =>
      `export default {\n  headers: async () => (${json(nextHeaders(config, options)).replaceAll('\n', '\n  ').trimEnd()}),\n}\n`,
  },
  Vite: {
    file: 'vite.config.ts',
    print: (_, { worker }) =>
      [
        `import { viteHeaders } from 'strongroom/headers'`,
        `import { config } from './auth.config.ts' // the object that auth.worker.ts passes to vault()`,
        '',
        `export default { plugins: [viteHeaders(config, { worker: '${worker}' })] }`,
        '',
      ].join('\n'),
  },
}

function section(title: string, headers: ResponseHeaders): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\n`)
  return lines.length ? `# ${title}\n${lines.join('')}` : ''
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`
}
