/**
 * Five tasks for a coding assistant that has only the package. Each has the assistant's prompt. It says from which app it
 * begins, which servers it needs, and what the finished app must do.
 */
import { execFile } from 'node:child_process'
import { cp, readFile, rm, writeFile } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { promisify } from 'node:util'
import { root } from '../packaging/tarball.mjs'
import { AUDIENCE } from '../support/servers.mjs'

const run = promisify(execFile)

/** The second API's identifier. */
export const SECOND_AUDIENCE = 'urn:strongroom:demo:profile'

/** A public app that signs in with oidc-client-ts. Its API only repeats the claims of the access token. */
const PUBLIC_APP = {
  repository: 'https://github.com/authts/sample-keycloak-react-oidc-context',
  commit: '3c5f59b1df42209efc859c73a6b54faabec53450',
  folder: 'react',
}

/**
 * A task.
 *
 * @typedef {object} Task
 * @property {(addresses: Addresses) => string} prompt
 * @property {(folder: string, addresses: Addresses) => Promise<void>} create Writes the app with which the task begins.
 * @property {(addresses: Addresses) => object} servers Options for `startServers()`.
 * @property {'profile' | 'public'} [second] A second server: an API with an audience of its own, or the public app's.
 * @property {string[]} expected Strings that the signed-in user must see.
 * @property {string} [click] The text of a link or button that shows them.
 * @property {number[]} [called] The servers, 0 or 1, that must receive a call with a valid token. Default: 0.
 * @property {RegExp} [forbidden] Text that the sources must not contain any more.
 */

/** @typedef {{ app: string, port: number, issuer: string, api: string, second: string }} Addresses */

const forApp = ({ app }) => ({ apps: [app, app.replace('localhost', '127.0.0.1')] })

const aboutProvider = ({ issuer, app }) =>
  `The OpenID provider runs at ${issuer}. It knows the public client \`my-app\` with the redirect URI ${app}/callback, and issues refresh tokens only with the scope \`offline_access\` and \`prompt=consent\`. The account is alice, with the password wonderland.`

const aboutServing = ({ app, port }) =>
  `\`npm run build\` must build the app, and \`npm start\` must serve the build at ${app} (port ${port}; the script exists or you add it), with the security headers that the package's documents ask for. \`npx strongroom doctor ${app}\`, with the options that its documents name, must print no ✗.`

/** Writes a copy of an example for these servers. Its script `start` serves the build. */
async function copyExample(folder, { port, issuer, api }) {
  await cp(`${root}examples/react-vite`, folder, { recursive: true })
  for (const path of ['src/auth.config.ts', 'src/orders.tsx']) {
    const text = await readFile(`${folder}/${path}`, 'utf8')
    const replaced = text.replaceAll('http://127.0.0.1:4401', issuer).replaceAll('http://127.0.0.1:4402', api)
    await writeFile(`${folder}/${path}`, replaced)
  }
  await changeManifest(folder, (manifest) => {
    manifest.scripts.start = `vite preview --strictPort --port ${port}`
    delete manifest.dependencies.strongroom
  })
  await rm(`${folder}/package-lock.json`)
}

/** Runs a package that creates an app in a folder. */
async function npx(folder, creator, ...options) {
  const env = { ...process.env, CI: '1', NEXT_TELEMETRY_DISABLED: '1' }
  await run('npx', ['--yes', creator, basename(folder), ...options], { cwd: dirname(folder), env })
}

async function changeManifest(folder, change) {
  const manifest = JSON.parse(await readFile(`${folder}/package.json`, 'utf8'))
  change(manifest)
  await writeFile(`${folder}/package.json`, `${JSON.stringify(manifest, null, 2)}\n`)
}

/** A server with the mistakes of many hosts: one page for every path, one policy for every file, and one lifetime. */
const brokenServer = (port) => `// Serves dist. The host's defaults, as a colleague set them.
import { createServer } from 'node:http'
import { readFile } from 'node:fs/promises'
import { extname } from 'node:path'

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css' }

createServer(async (request, response) => {
  const { pathname } = new URL(request.url, 'http://localhost')
  const file = await readFile('dist' + pathname).catch(() => undefined)
  const body = file ?? (await readFile('dist/index.html'))
  response.writeHead(200, {
    'Content-Type': file ? (TYPES[extname(pathname)] ?? 'application/octet-stream') : 'text/html',
    'Content-Security-Policy': "default-src 'self'; object-src 'none'",
    'Cache-Control': 'public, max-age=31536000',
  })
  response.end(body)
}).listen(${port}, 'localhost')
`

/** @type {Record<string, Task>} */
export const TASKS = {
  vite: {
    prompt: (at) => `Add sign-in to this app with the package strongroom.
${aboutProvider(at)} The app calls the API ${at.api}/v1/ with the scope \`orders\`. Without a session, the app shows a button "Sign in". A signed-in user sees their name, the \`item\` of each order of \`GET ${at.api}/v1/orders\` (an array of \`{ id, item, quantity }\`) in a list, and a button that signs out. A reload must not end the session.
${aboutServing(at)}`,
    async create(folder) {
      await npx(folder, 'create-vite@9', '--template', 'react-ts')
    },
    servers: forApp,
    expected: ['Alice Liddell', 'Brass hinges, pair'],
  },
  'two-apis': {
    prompt: (
      at,
    ) => `This app signs in with the package strongroom, and calls the API ${at.api}/v1/, whose identifier is \`${AUDIENCE}\`. Let it also call a second API, ${at.second}/v1/, whose identifier is \`${SECOND_AUDIENCE}\`, with the scope \`profile:read\`. Each API accepts only tokens for its own identifier (RFC 8707), so each needs a token of its own. Show the \`sub\` of the JSON from \`GET ${at.second}/v1/me\` after the text "Subject: ", below the orders.
${aboutProvider(at)} It knows both identifiers as resources, the first with the scope \`orders\`.
${aboutServing(at)}`,
    create: copyExample,
    servers: (at) => ({
      ...forApp(at),
      provider: { resources: { [AUDIENCE]: 'orders', [SECOND_AUDIENCE]: 'profile:read' } },
    }),
    second: 'profile',
    expected: ['Alice Liddell', 'Brass hinges, pair', 'Subject: alice'],
    called: [0, 1],
  },
  deployment: {
    prompt: (
      at,
    ) => `This app signs in with the package strongroom. In development it works. The deployment, \`npm run build\` and then \`npm start\`, does not: nobody can sign in. \`server.mjs\` is the host; change what it sends as you like, and in \`src\` only what is wrong. Find each fault with the package's doctor, and repair it.
${aboutProvider(at)}
${aboutServing(at)}`,
    async create(folder, addresses) {
      await copyExample(folder, addresses)
      await writeFile(`${folder}/server.mjs`, brokenServer(addresses.port))
      await changeManifest(folder, ({ scripts }) => {
        scripts.start = 'node server.mjs'
      })
    },
    servers: forApp,
    expected: ['Alice Liddell', 'Brass hinges, pair'],
  },
  next: {
    prompt: (
      at,
    ) => `Add sign-in to this Next app with the package strongroom, so that tokens stay on the server (its token handler).
The OpenID provider runs at ${at.issuer}. It knows the confidential client \`my-handler\` (client_secret_basic, secret \`a-secret-that-everybody-knows\`) with the redirect URI ${at.app}/auth/callback, and issues refresh tokens only with the scope \`offline_access\` and \`prompt=consent\`. The account is alice, with the password wonderland. The API is ${at.api}/v1/, with the scope \`orders\`.
Without a session, the page shows a button "Sign in". A signed-in user sees their name, which the server renders, the \`item\` of each order of \`GET ${at.api}/v1/orders\` (an array of \`{ id, item, quantity }\`) in a list that the browser loads, and a button that signs out.
\`npm run build\` must build the app, and \`npm start\` must serve the build at ${at.app} (port ${at.port}; change the script), with the security headers that the package's documents ask for. \`npx strongroom doctor ${at.app}\`, with the options that its documents name, must print no ✗.`,
    async create(folder) {
      const options = ['--ts', '--app', '--no-src-dir', '--no-tailwind', '--no-eslint', '--use-npm', '--yes']
      await npx(folder, 'create-next-app@16', ...options, '--disable-git', '--skip-install')
    },
    servers: ({ app }) => ({ handlers: [app] }),
    expected: ['Alice Liddell', 'Brass hinges, pair'],
  },
  move: {
    prompt: (
      at,
    ) => `Move this app, with all that it does, from oidc-client-ts and react-oidc-context to the package strongroom. Its playground must still show the response of the API with a token. Leave the colors and the routes as they are.
${aboutProvider(at)} The app's own backend runs at ${at.second}: \`vite.config.ts\` forwards \`/api/…\` to it, also for \`npm start\`. \`GET /api/auth-well-known-config\` needs no token, and \`GET /api/payload\` responds with the user of the access token.
${aboutServing(at)}`,
    async create(folder, { port, issuer, second }) {
      const { repository, commit, folder: inside } = PUBLIC_APP
      const clone = `${folder}.clone`
      await rm(clone, { recursive: true, force: true })
      await run('git', ['clone', '--quiet', repository, clone])
      await run('git', ['-C', clone, 'checkout', '--quiet', commit])
      await cp(`${clone}/${inside}`, folder, { recursive: true })
      await rm(clone, { recursive: true })
      // `vite preview` has the proxy of `server` unless it has its own.
      await writeFile(
        `${folder}/.env`,
        `VITE_PORT=${port}\nVITE_API_BASE_URL=${second}\nVITE_AUTHORITY=${issuer}\nVITE_CLIENT_ID=my-app\n`,
      )
      await changeManifest(folder, ({ scripts }) => {
        scripts.start = `vite preview --strictPort --port ${port}`
      })
    },
    servers: forApp,
    second: 'public',
    click: 'Playground',
    expected: ['"sub": "alice"'],
    forbidden: /oidc-client-ts|react-oidc-context|access_token/,
  },
}
