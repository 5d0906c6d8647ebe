/**
 * The front page. What it says about strongroom comes from the README, so that each fact is written once. Only the
 * choice at its end is written here.
 */
import { read } from './pages.mjs'

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
  const readme = await read('README.md')
  const [, claim, about] = /^\*\*(.+?)\*\* (.+)$/m.exec(readme) ?? []
  if (!claim) throw new Error('README.md does not begin with its claim in bold')
  const use = part(readme, /^## Use it\n(.*?)^## /ms, 'section "Use it"')
  const files = [...use.matchAll(/^```tsx?\n\/\/ src\/.*?^```/gms)].slice(0, 3)
  if (files.length !== 3) throw new Error('the section "Use it" of README.md does not begin with three files')
  const cost = part(
    readme,
    /^\*\*Cost\*\*: (.*? KB in the page and .*? KB in the worker, after brotli)/m,
    'cost',
  )
  const [page, worker] = [...cost.matchAll(/[\d.]+ KB/g)].map(([size]) => size)
  const protects = part(readme, /^## What it protects\n+(.+)$/m, 'section "What it protects"')
  const [keeps, lets] = sentences(unlinked(protects), 2).split(/(?<=\.) (?=[A-Z])/)
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

${unlinked(about)}

<div class="front-facts">

- **${page}** in the page, and ${worker} in the worker, after brotli.
- **Protected**: ${lowered(keeps)}
- **Not protected**: ${lowered(lets)} [More](docs/protection.md)

</div>
</div>
<div class="front-code">

${files.join('\n\n')}

A guarded React app needs no more. [Go on](README.md#use-it), [see the demo](/demo/), or [try a configuration](/playground/).

</div>
</div>
<div class="front-choices">

${choices.join('\n')}

</div>
</main>
`
}

const lowered = (text) => text.charAt(0).toLowerCase() + text.slice(1)
