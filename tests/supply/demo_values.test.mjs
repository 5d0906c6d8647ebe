// The guides' token handlers with the demo's provider: each guide shows the lines that differ, written from one place.
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { test } from 'node:test'
import { ACCOUNTS } from '../support/accounts.mjs'
import { OWN_HANDLER } from '../support/servers.mjs'
import { PORTS } from '../../www/build.mjs'

/** What a guide has, and what it is with the demo's provider. */
const VALUES = {
  'https://id.example.com': `http://127.0.0.1:${PORTS.provider}`,
  'https://api.example.com/v1/': `http://127.0.0.1:${PORTS.api}/v1/`,
  "id: 'web'": `id: '${OWN_HANDLER.id}'`,
  "scope: 'openid profile offline_access',":
    "scope: 'openid profile offline_access orders',\n  consent: 'always',",
}

const BEGIN = '<!-- written by UPDATE_DOCS=1 node --test tests/supply/demo_values.test.mjs -->\n'
const END = '<!-- end -->'

/**
 * Returns the text for the demo's provider, from a guide's own handler and file of variables. The block of code is not one
 * of the app's files, which have the language `ts`.
 */
const demoPart = (guide) => {
  const [, file] = /^# (\.env[\w.]*): /m.exec(guide)
  const [, code] = /^```ts\n(\/\/ [\w/.]*handler[\w.]*\n.*?)^```/ms.exec(guide)
  const lines = code.split('\n').flatMap((line) => {
    const replaced = Object.entries(VALUES).reduce((text, [own, demo]) => text.replace(own, demo), line)
    return replaced === line ? [] : [replaced]
  })
  const exports = lines.filter((line) => !line.startsWith(' '))
  const members = lines.filter((line) => line.startsWith(' '))
  const changed = exports.length ? [...exports, '', '// in the configuration:', ...members] : members
  const [{ username, password }] = ACCOUNTS
  const [[provider, demo]] = Object.entries(VALUES)
  const blocks = guide.split('## Without a server')[0].matchAll(/^```tsx?\n\/\/ (\S+)\n(.*?)^```/gms)
  const others = [...blocks].filter(([, , text]) => text !== code.slice(code.indexOf('\n') + 1))
  const places = others.filter(([, , text]) => text.includes(provider)).map(([, name]) => ` In \`${name}\`,`)
  const elsewhere = places.map((place) => `${place} \`${provider}\` becomes \`${demo}\`.`).join('')
  return `
With the demo's provider (\`cargo xtask demo\` in a clone), \`${file}\` has \`CLIENT_SECRET=${OWN_HANDLER.secret}\`, and these lines take the place of those above.${elsewhere} Sign in as ${username} with the password ${password}, then choose Allow:

\`\`\`typescript
${changed.join('\n')}
\`\`\`

`
}

for (const path of ['nextjs', 'nuxt', 'react-router-server', 'tanstack-start']) {
  test(`docs/${path}.md has its lines for the demo's provider`, async () => {
    const url = new URL(`../../docs/${path}.md`, import.meta.url)
    const text = await readFile(url, 'utf8')
    const [before, rest = ''] = text.split(BEGIN)
    const [own, ...after] = rest.split(END)
    const part = demoPart(text)
    if (process.env.UPDATE_DOCS) await writeFile(url, [before, BEGIN, part, END, ...after].join(''))
    else assert.equal(own, part, 'UPDATE_DOCS=1 writes it')
  })
}

test('the example of docs/edge.md has the same values', async () => {
  const text = await readFile(new URL('../../docs/edge.md', import.meta.url), 'utf8')
  for (const value of [...Object.values(VALUES).flatMap((lines) => lines.split('\n  ')), OWN_HANDLER.secret])
    assert.ok(text.includes(value), value)
})
