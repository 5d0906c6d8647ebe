/**
 * Writes what coding assistants read: `llms.txt`, a list of the package's documents (https://llmstxt.org), and
 * `SKILL.md`, which says how to add strongroom to an app. Both are made from the documents, so they cannot differ.
 */

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
 * left out.
 */
export function llms(index, packed) {
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
  return `# strongroom\n\n> An OAuth 2.0 and OpenID Connect client that keeps tokens out of the page. A Rust core, compiled to WebAssembly, runs in a worker (\`strongroom\`, \`strongroom/worker\`) or on a server (\`strongroom/edge\`). Page code never gets a token: it calls \`auth.fetch\`.\n\n${lines.trim()}\n`
}

const RULES = `- Never ask for the access token as a string: there is no such function. Call \`auth.fetch(url)\`, or pass it to an HTTP client.
- The configuration belongs in the worker's file (\`auth.worker.ts\`), not in the page. Every API that the app calls with a token needs an entry in \`apis\`; a call without one rejects with \`url_not_allowed\`.
- Write \`new SharedWorker(new URL('./auth.worker.ts', import.meta.url), { type: 'module' })\` literally, inside the function: bundlers look for this expression.
- Create one \`auth\` for the whole app, and import it. \`createAuth()\` does nothing before its first use.
- A route of the app must be served at the path of \`redirectUri\`. The app needs no code there.
- Do not catch errors of \`auth.login()\` only to log them: \`auth.state.error\` has them, with a stable \`code\`.
- Import \`strongroom/worker\` in the worker's file only, and nothing else there but \`vault()\`.
- In production, send the headers that \`strongroom/headers\` generates.
- If the app has a server of its own that renders pages, use \`strongroom/edge\` instead: read docs/edge.md.`

const CHOICE = `| the app | read |
|---|---|
| static files (Vite, Angular, SvelteKit with a static adapter) | this file, then docs/frameworks.md |
| Next, Nuxt, SvelteKit or Astro with a server, Hono, Express, Workers | docs/edge.md, for Next docs/nextjs.md |
| no bundler | docs/standalone.md |
| it has another library now | docs/migration.md |`

const CHECK = `1. Start the app, open it, and sign in. \`auth.state\` says what happened: \`status\`, \`session\`, \`error\`.
2. Look at the network: the page itself sends no request to the provider's token endpoint.
3. An error has a code: docs/errors.md has its remedy. docs/debugging.md says where to look first.`

/** Returns `SKILL.md`, with the code of the README's sections "Use it" and "Your framework". */
export function skill(readme) {
  const parts = [
    ['Choose', CHOICE],
    ['Rules', RULES],
    ['The code', section(readme, 'Use it')],
    ['The framework', section(readme, 'Your framework')],
    ['Check', CHECK],
  ]
  const front = `---\nname: add-strongroom\ndescription: Adds sign-in with OAuth 2.0 or OpenID Connect to a web app by the package strongroom, which keeps tokens in a worker or on a server. Use it when an app must sign users in, call an API with an access token, or move from auth0-spa-js, oidc-client-ts, MSAL, keycloak-js or Auth.js.\n---\n`
  const body = parts.map(([heading, text]) => `## ${heading}\n\n${text}\n`).join('\n')
  return `${front}\n# Add strongroom to an app\n\nPaths are relative to the package's folder, \`node_modules/strongroom\`. \`llms.txt\` lists all documents.\n\n${body}`
}
