/**
 * The front page. What it says about strongroom comes from the README, so that each fact is written once. Only the
 * choice at its end is written here.
 */
import prettier from 'prettier'
import { read, readReadme } from './pages.mjs'

/** Returns the first match in the README, or throws. */
function part(readme, pattern, what) {
  const [, found] = pattern.exec(readme) ?? []
  if (!found) throw new Error(`README.md has no ${what}, which the front page shows: see www/docs/front.mjs`)
  return found.trim()
}

/** Returns the first sentences of a text, at most this many. */
const sentences = (text, count) =>
  text
    .split(/(?<=[.:])\s+(?=[A-Z[])/)
    .slice(0, count)
    .join(' ')

/** The tabs of code besides the two files that all frameworks share: the section of docs/frameworks.md, and a part of its block. */
const FRAMEWORKS = [
  ['Vue', '## Vue', '<!-- SignIn.vue -->'],
  ['Svelte', '## Svelte', '{#if $auth.session}'],
  ['Solid', '## Solid', 'strongroom/solid'],
  ['Angular', '## Angular', 'provideAuth'],
]

/** The longest line of code, in characters. It fits into the page without a break. */
const WIDTH = 96

/** Resolves with a block of code whose lines fit, with its label. */
async function tab(label, language, code) {
  const parser = { ts: 'typescript', tsx: 'typescript', vue: 'vue' }[language]
  const options = { parser, printWidth: WIDTH, semi: false, singleQuote: true }
  const text = parser ? await prettier.format(code, options) : code
  return `\`\`\`${language} [${label}]\n${text.trim()}\n\`\`\``
}

/** Returns the block of code of a document's section that has this text: its language and its code. */
function blockOf(document, heading, text) {
  const [, section = ''] = document.split(`\n${heading}\n`)
  const blocks = [...section.split(/\n## /)[0].matchAll(/^```(\w+)\n(.*?)^```/gms)]
  const found = blocks.find(([, , code]) => code.includes(text))
  if (!found)
    throw new Error(`docs/frameworks.md has no code with ${text} in ${heading}: see www/docs/front.mjs`)
  return found
}

/** Returns text in which no link is left. */
const unlinked = (text) => text.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')

/**
 * What the reader does next. Each choice is a title, a sentence and the page to read, by its path in the repository.
 */
const CHOICES = [
  [
    'My app is static files',
    'A worker keeps the tokens. Start with the shortest app that works.',
    'README.md',
  ],
  [
    'I have a server',
    'The same core runs on it as a token handler, and the browser gets a cookie.',
    'docs/edge.md',
  ],
  [
    'I use a framework',
    'React, Vue, Solid, Svelte, Angular, Next, Astro: the code for each.',
    'docs/frameworks.md',
  ],
  ['I use another library', 'What replaces what, and what users notice.', 'docs/migration.md'],
]

/** Resolves with the Markdown of the front page. Its links are relative to the repository's root. */
export async function front() {
  const [readme, frameworks] = [await readReadme(), await read('docs/frameworks.md')]
  const [, claim, about] = /^\*\*(.+?)\*\* (.+)$/m.exec(readme) ?? []
  if (!claim) throw new Error('README.md does not begin with its claim in bold')
  const use = part(readme, /^## Use it\n(.*?)^## /ms, 'section "Use it"')
  const files = [...use.matchAll(/^```(tsx?)\n(\/\/ src\/(\S+):.*?)^```/gms)].slice(0, 3)
  if (files.length !== 3) throw new Error('the section "Use it" of README.md does not begin with three files')
  const cost = part(
    readme,
    /^- \*\*Cost\*\*: (.*? KB in the page and .*? KB in the worker, after brotli)/m,
    'cost',
  )
  const [page, worker] = [...cost.matchAll(/[\d.]+ KB/g)].map(([size]) => size)
  const whom = (name) =>
    unlinked(sentences(part(readme, new RegExp(`^- \\*\\*${name}\\*\\*:? (.+)$`, 'm'), name), 1))
  const picture = part(readme, /^!\[(.+)\]\(docs\/proof\.png\)$/m, 'picture')
  const tabs = [
    ...files.map(([, language, code, name]) =>
      tab(name === 'main.tsx' ? 'React: main.tsx' : name, language, code),
    ),
    ...FRAMEWORKS.map(([label, heading, text]) => {
      const [, language, code] = blockOf(frameworks, heading, text)
      return tab(label, language, code)
    }),
  ]
  const choices = CHOICES.map(([title, text, target]) => `- [${title}](${target})\n\n  ${text}`)
  return `---
layout: page
pageClass: front
title: strongroom
titleTemplate: OAuth tokens that never enter the page
description: ${JSON.stringify(`${claim} ${unlinked(sentences(about, 1))}`)}
---

<main class="vp-doc front-page">
<div class="front-top">
<div class="front-words">

# ${claim}

${unlinked(sentences(about, 3))}

<div class="front-buttons">

[Get started](README.md#use-it) [Try the demo](/demo/)

</div>

<p class="front-note">Not on the registry yet: until the first release, <a href="/start#install">build the package in a clone</a>.</p>

</div>
<div class="front-proof">
<div class="only-light">

![${picture}](docs/proof.png)

</div>
<div class="only-dark">

![${picture}](docs/proof-dark.png)

</div>
</div>
<div class="front-facts">

- **For** ${whom('For')}
- **Not for** ${whom('Not for')} [More](docs/before-you-choose.md#for-whom-is-it-and-for-whom-not)
- **Costs** ${page} in the page, and ${worker} in the worker, after brotli. [Measurements](docs/performance.md)
- **Status**: ${whom('Status')} [What is protected, and what is not](docs/protection.md)

</div>
</div>

## An app behind a login is three files

::: code-group

${(await Promise.all(tabs)).join('\n\n')}

:::

[Try a configuration](/playground/) with the real core: it prints the worker's file, and the headers for your host.

<div class="front-choices">

${choices.join('\n')}

</div>
</main>
`
}
