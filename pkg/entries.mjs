/**
 * Lists the package's files. A key is a file's name in `dist`, and its value is the source below `src`, both without
 * extension.
 */

/** Files that an app imports, or loads as a worker or frame. */
export const ENTRIES = {
  index: 'page/index',
  worker: 'worker/index',
  standalone: 'worker/standalone',
  escrow: 'worker/escrow',
  media: 'media/media',
  'vault-frame': 'vault-origin/vault-frame',
  'wasm-url': 'page/wasm-url',
  messages: 'page/errors/user-message',
}

/** The callback page's file. It contains everything that it imports, because the page names the hash of its one script. */
export const CALLBACK = { callback: 'callback/finish-login' }

/** Files for development, which an app imports on demand. */
export const TOOLS = {
  inspector: 'inspector/index',
  'inspector/record': 'inspector/record',
}

/** Files that the page imports only when it needs them. */
export const LAZY = {
  // The texts of errors and warnings, and the search for the reason why a worker failed.
  'error-messages': 'page/errors/error-messages',
  'worker-failure': 'page/connection/worker-failure',
  // Logins, resuming a session, the guard of `requireSession()`, and connecting to a new vault.
  login: 'page/login/login',
  resume: 'page/guards/resume',
  guard: 'page/guards/guard',
  reconnect: 'page/connection/reconnect',
  // Event sources, WebSockets and progress, vaults on their own origin, and token handlers.
  streaming: 'page/streaming/streaming',
  'connect-frame': 'vault-origin/connect-frame',
  'token-handler-client': 'page/token-handler/token-handler-client',
  // What the page does for its service worker with `media()`, besides passing on requests.
  'page-media': 'page/media/page-media',
  // The encoding of forms, for engines that cannot read the body of a form.
  form: 'page/fetch/form',
}

/**
 * Files for browser extensions. Each contains everything that it imports, because a service worker cannot load files
 * lazily.
 */
export const EXTENSION = { extension: 'extension/index' }

/** Bindings for frameworks. The app's bundler resolves their imports of the framework. */
export const BINDINGS = {
  react: 'bindings/react',
  vue: 'bindings/vue',
  solid: 'bindings/solid',
  angular: 'bindings/angular',
}

/** Import names of the frameworks' packages. */
export const FRAMEWORKS = ['react', 'vue', 'solid-js', '@angular/*', 'rxjs', '@opentelemetry/api']

/** Files that run on a server, or in an app's build. */
export const SERVER = {
  headers: 'headers/index',
  edge: 'edge/index',
  'edge-common': 'edge/common',
  'edge.workerd': 'edge/index.workerd',
  'edge.light': 'edge/index.light',
  'edge/node': 'edge/adapters/node',
  'edge/opentelemetry': 'edge/opentelemetry',
  'edge/conformance': 'edge/coordinators/conformance',
  'edge/testing': 'edge/testing/index',
  'edge/postgres': 'edge/coordinators/postgres',
  'edge/hono': 'edge/adapters/hono',
  'edge/express': 'edge/adapters/express',
  'edge/fastify': 'edge/adapters/fastify',
  'edge/next': 'edge/adapters/next',
  'edge/sveltekit': 'edge/adapters/sveltekit',
  'edge/astro': 'edge/adapters/astro',
  'edge/react-router': 'edge/adapters/react-router',
  'edge/tanstack-start': 'edge/adapters/tanstack-start',
  'edge/h3': 'edge/adapters/h3',
}

/** Besides the files for browsers, the demo loads this one. */
export const DEMO = { headers: SERVER.headers }

/**
 * The program of the package, and the core's judgment, which the program and the plugin for Vite load. They are in folders
 * of their own, because apps without a bundler copy the files directly in `dist`. They load the files that the package has
 * anyway.
 */
export const PROGRAM = { 'doctor/index': 'doctor/index', 'headers/core': 'headers/core' }

/** Matches imports of lazily loaded files. */
export const LAZY_IMPORT = new RegExp(`/(${Object.keys(LAZY).join('|')})\\.js$`)
