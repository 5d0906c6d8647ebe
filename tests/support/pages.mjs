/** Escapes a string for HTML. */
export function escape(text) {
  return String(text).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}

/**
 * Responds with a page of the provider.
 *
 * @param {object} page
 * @param {string} page.title
 * @param {string} page.body HTML.
 * @param {number} [page.status]
 * @param {string[]} [page.formAction] Origins or schemes to which the page's forms may lead, in addition to the provider's own
 *   origin.
 */
export function sendPage(ctx, { title, body, status = 200, formAction = [] }) {
  ctx.status = status
  ctx.type = 'html'
  const formTargets = ["'self'", ...formAction].join(' ')
  ctx.set({
    'Cache-Control': 'no-store',
    'Content-Security-Policy': `default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'; form-action ${formTargets}`,
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
  })
  ctx.body = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>${escape(title)} · Lantern ID</title>
    <link rel="stylesheet" href="/assets/provider.css">
    <link rel="icon" href="data:,">
  </head>
  <body>
    <main>
      <p class="brand">${MARK}Lantern ID</p>
      ${body}
    </main>
    <footer>A real OpenID provider for the demo, on this machine only.</footer>
  </body>
</html>
`
}

const MARK = `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M9 3h6M12 3v3M7.5 9h9M7.5 19h9M9 22h6M8.5 9c-2 3.3-2 6.7 0 10M15.5 9c2 3.3 2 6.7 0 10M9 9c0-2 1.2-3 3-3s3 1 3 3"/><circle cx="12" cy="14" r="1.8"/></svg>`

/** Responds with the pages' style sheet. */
export function sendStyle(ctx) {
  ctx.type = 'css'
  ctx.set('Cache-Control', 'no-cache')
  ctx.body = STYLE
}

/** The style sheet of the pages. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --paper: light-dark(#efedf7, #14121f);
  --card: light-dark(#fff, #1e1b2e);
  --ink: light-dark(#211d36, #eceaf6);
  --soft: light-dark(#5d5878, #aaa4c6);
  --line: light-dark(#d9d5e8, #38334f);
  --accent: light-dark(#5140b8, #b3a6ff);
  --on-accent: light-dark(#fff, #17142a);
  --error: light-dark(#a3203a, #ff9aa8);
}
* { box-sizing: border-box; margin: 0 }
body {
  min-height: 100vh; display: grid; grid-template-rows: 1fr auto; place-items: center; padding: 24px 16px;
  font: 16px/1.5 system-ui, sans-serif; background: var(--paper); color: var(--ink);
}
main {
  width: 100%; max-width: 400px; padding: 32px; background: var(--card);
  border: 1px solid var(--line); border-radius: 16px;
}
.brand { display: flex; gap: 8px; align-items: center; margin-bottom: 24px; font-weight: 600; color: var(--accent) }
.brand svg { width: 28px; height: 28px; fill: none; stroke: currentColor; stroke-width: 1.5; stroke-linecap: round }
h1 { font-size: 26px; line-height: 1.2; letter-spacing: -.01em }
.lead { margin: 6px 0 20px; color: var(--soft) }
.lead strong, .lead code { color: var(--ink) }
.error { margin-bottom: 16px; padding: 10px 12px; border-left: 3px solid var(--error); color: var(--error) }
label { display: block; margin: 14px 0 4px; font-size: 14px; font-weight: 600 }
input {
  width: 100%; padding: 10px 12px; font: inherit; color: inherit; background: var(--paper);
  border: 1px solid var(--soft); border-radius: 8px;
}
.buttons { display: flex; gap: 10px; margin-top: 22px }
button {
  flex: 1; padding: 11px 16px; font: inherit; font-weight: 600; cursor: pointer;
  color: var(--on-accent); background: var(--accent); border: 1px solid var(--accent); border-radius: 8px;
}
button.quiet { flex: 0 1 auto; color: var(--ink); background: transparent; border-color: var(--line) }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px }
table { width: 100%; margin-top: 28px; border-spacing: 0; font-size: 14px; text-align: left }
caption { padding: 16px 0 6px; border-top: 1px solid var(--line); text-align: left; font-weight: 600 }
th { font-weight: 400; color: var(--soft); padding: 2px 0 }
td { padding: 2px 0 }
code { font: 14px/1.5 ui-monospace, monospace }
.scopes { padding: 0; list-style: none; border-top: 1px solid var(--line) }
.scopes li { display: flex; justify-content: space-between; gap: 12px; padding: 9px 0; border-bottom: 1px solid var(--line) }
.scopes code { color: var(--soft) }
footer { padding-top: 20px; font-size: 13px; color: var(--soft); text-align: center }
`
