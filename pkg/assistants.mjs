/**
 * Writes what coding assistants read: `llms.txt`, a list of the package's documents (https://llmstxt.org), and two skills,
 * which say how to add strongroom to an app, and how to move an app to it. Their code comes from the README, so that it
 * cannot differ.
 */

/** Matches a block of code, or comments between blocks, which are marks for scripts. */
const BLOCK_OR_COMMENT = /^(`{3,})[^]*?^\1`*$|^<!--[^]*?-->\n+/gm

/** Returns a document without comments. Those in code stay. */
export const withoutComments = (text) =>
  text.replace(BLOCK_OR_COMMENT, (match, fence) => (fence ? match : ''))

/** Returns the section of a document with this heading, without the heading. */
export function section(text, heading) {
  const [, body] = text.split(`\n## ${heading}\n`)
  if (body === undefined) throw new Error(`there is no section "${heading}"`)
  return body.split(/\n## /)[0].trim()
}

/**
 * Returns the paths of the documents for users, in the order of docs/README.md. The section "Internals" is for those who
 * work on the project, and the documents about specifications and tests belong to the repository, too.
 */
export function userDocuments(index) {
  const [forUsers] = index.split('\n## Internals\n')
  const names = [...forUsers.matchAll(/\]\(([\w-]+\.md)\)/g)].map(([, name]) => `docs/${name}`)
  return [...new Set(names)]
}

/**
 * Returns `llms.txt` from docs/README.md. `packed` are the paths of the documents in the package. Other documents are
 * left out. `skillPaths` are the paths of the skills, which only the package has.
 */
export function llms(index, packed, skillPaths = []) {
  const isPacked = (path) => packed.includes(path)
  const links = (line) =>
    line
      .replace(/\]\((?!\.\.)([\w/-]+\.md)/g, '](docs/$1')
      .replaceAll('](../', '](')
      .replace(/\[([^\]]+)\]\(([^)]+)\)/g, (link, label, path) => (isPacked(path) ? link : label))
  const lines = index
    .replace(/^# .*\n/, '')
    .split('\n')
    .map(links)
    .filter((line) => !line.startsWith('- ') || line.includes(']('))
    .join('\n')
    .split(/\n(?=## )/)
    .filter((part) => !part.startsWith('## ') || part.includes('\n- '))
    .join('\n')
  const forAssistants = skillPaths.map((path) => `- [${path.split('/')[1]}](${path})\n`).join('')
  const skillsPart = forAssistants && `\n## Skills for assistants\n\n${forAssistants}`
  return `# strongroom\n\n> An OAuth 2.0 and OpenID Connect client that keeps tokens out of the page. A Rust core, compiled to WebAssembly, runs in a worker (\`strongroom\`, \`strongroom/worker\`) or on a server (\`strongroom/edge\`). Page code never gets a token: it calls \`auth.fetch\`.\n\n${lines.trim()}\n${skillsPart}`
}

const RULES = `- Never ask for the access token as a string: there is no such function. Call \`auth.fetch(url)\`, or pass it to an HTTP client.
- The configuration belongs in the worker's file (\`auth.worker.ts\`), not in the page. Every API that the app calls with a token needs an entry in \`apis\`; a call without one rejects with \`url_not_allowed\`.
- Write \`new SharedWorker(new URL('./auth.worker.ts', import.meta.url), { … })\` and, for Safari, \`new Worker(…)\` literally, inside the functions: bundlers look for these expressions.
- Create one \`auth\` for the whole app, and import it. \`createAuth()\` does nothing before its first use.
- The path of \`redirectUri\` must be served: by the app's page, which needs no code there, or better by a page of its own (docs/callback-page.md).
- Do not catch errors of \`auth.login()\` only to log them: \`auth.state.error\` has them, with a stable \`code\`.
- Import \`strongroom/worker\` in the worker's file only, and nothing else there but \`vault()\`.
- In production, send the headers that \`strongroom/headers\` generates.
- If the app has a server of its own that renders pages, use \`strongroom/edge\` instead. The rules about the worker's file are not for it: read docs/edge.md, or for Next docs/nextjs.md, for React Router docs/react-router-server.md, for TanStack Start docs/tanstack-start.md, for Nuxt docs/nuxt.md, whose files are complete.`

const CHOICE = `| the app | read |
|---|---|
| static files (Vite, Angular, SvelteKit with a static adapter) | this file, then docs/frameworks.md |
| Next, Nuxt, React Router, TanStack Start, SvelteKit or Astro with a server, Hono, Express, Workers | docs/edge.md, and for the first four docs/nextjs.md, docs/nuxt.md, docs/react-router-server.md, docs/tanstack-start.md |
| no bundler | docs/standalone.md |
| it has another library now | docs/migration.md |`

const CHECK = `1. Start the app, open it, and sign in. \`auth.state\` says what happened: \`status\`, \`session\`, \`error\`.
2. Look at the network: the page itself sends no request to the provider's token endpoint.
3. An error has a code: docs/errors.md has its remedy. docs/debugging.md says where to look first.
4. Serve the build, and run \`npx strongroom doctor http://localhost:<port> --config auth.config.ts\` (for a token handler: the file that exports its \`config\`). The exit status must be 0. Node before 22.18 reads no TypeScript: the doctor then says what to do (docs/doctor.md).`

/** Returns text for a file two folders below the root of the package, from text for a file in the root. */
const below = (text) => text.replace(/\]\((?!https?:|#)/g, '](../../')

/** Returns the text of a skill: its front matter (https://agentskills.io), its title, and its sections. */
const skillOf = (name, description, title, sections) =>
  [
    `---\nname: ${name}\ndescription: ${description}\n---\n`,
    `# ${title}\n\nPaths such as \`docs/edge.md\` begin at the package's folder, \`node_modules/strongroom\`. \`llms.txt\` there lists all documents.\n`,
    ...sections.map(([heading, text]) => `## ${heading}\n\n${below(text)}\n`),
  ].join('\n')

/** Returns the skill for an app that has no login yet, with the code of the README's "Use it". */
const addSkill = (readme) =>
  skillOf(
    'add-strongroom',
    'Adds sign-in with OAuth 2.0 or OpenID Connect to a web app with the package strongroom, which keeps tokens in a worker or on a server. Use it when an app must sign users in, or call an API with an access token. For an app that already has an OAuth library, use move-to-strongroom.',
    'Add strongroom to an app',
    [
      ['Choose', CHOICE],
      ['Rules', RULES],
      ['The code', section(readme, 'Use it')],
      ['Check', CHECK],
    ],
  )

const FIND = `Search the sources for everything that the old library does, and list the places before you change anything:

| search for | what it becomes |
|---|---|
| the library's name in \`package.json\`, in imports, in the bundler's configuration | removed at the end |
| the settings: issuer or authority, client, redirect URI, scope, audience | the worker's file |
| \`access_token\`, \`accessToken\`, \`getAccessToken\`, \`acquireToken\`, \`Bearer\`, \`Authorization\` | \`auth.fetch\`, and a rule in \`apis\` for each URL |
| an interceptor, or a client such as axios with a token | the client gets \`auth.fetch\`: docs/clients.md |
| \`user\`, \`profile\`, \`idTokenClaims\`, \`account\` | \`auth.state.session?.claims\`, or \`useSession()\`; name the claims in \`claims\` |
| guards, \`isAuthenticated\`, \`isLoading\` | \`RequireSession\`, guards, \`status\`: docs/frameworks.md |
| a callback route, \`silent-renew.html\`, timers that refresh | removed: docs/callback-page.md says what remains at the redirect URI |
| \`localStorage\`, \`sessionStorage\` with tokens | \`session: { persist: 'sealed' }\` |
| the Content-Security-Policy | docs/headers.md |

docs/migration.md has a table for each library, and docs/migration-authjs.md those for Auth.js and nextjs-auth0.`

const MOVE_STEPS = `1. Write \`auth.config.ts\`, \`auth.worker.ts\` and \`auth.ts\`, with the settings of the old library: the code is in skills/add-strongroom/SKILL.md.
2. Choose one fixed path for \`redirectUri\`, such as \`/callback\`. If the old library used another one, or the current address, the provider must know the new one: tell the user.
3. List each API in \`apis\`, with the methods that the app calls. An API on the app's own origin needs an entry, too: \`{ url: '/api/' }\`. Requests that need no token stay with \`fetch\`.
4. Replace each place that you have found. Where the app showed or logged a token, remove that: nothing returns one.
5. Remove the old library from \`package.json\`, with its callback pages, its timers and its stored tokens.`

const MOVE_CHECKS = `1. \`grep -rniE "access_?token|Bearer|<the old library>" src\` finds nothing.
2. Build the app, serve it, sign in, call each API, reload, and sign out.
3. \`npx strongroom doctor http://localhost:<port> --config auth.config.ts\` has the exit status 0. With Node before 22.18 it says how to pass a TypeScript file (docs/doctor.md).
4. Tell the user what changes: nobody's session is moved, so each user signs in again (most without a password), and the redirect URI at the provider.`

/** Returns the skill for an app that has another library. */
const moveSkill = () =>
  skillOf(
    'move-to-strongroom',
    'Moves a web app from another OAuth or OpenID Connect library (oidc-client-ts, react-oidc-context, auth0-spa-js, MSAL, keycloak-js, react-oauth2-code-pkce, Auth.js, nextjs-auth0) to the package strongroom, so that no token is in the page. Use it when such a library must be replaced.',
    'Move an app to strongroom',
    [
      ['Rules', RULES],
      ['Find', FIND],
      ['Replace', MOVE_STEPS],
      ['Check', MOVE_CHECKS],
    ],
  )

/** Returns the skills for assistants, by the path of each in the package. */
export const skills = (readme) => ({
  'skills/add-strongroom/SKILL.md': addSkill(readme),
  'skills/move-to-strongroom/SKILL.md': moveSkill(),
})
