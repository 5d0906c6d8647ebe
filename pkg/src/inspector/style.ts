/**
 * The style sheet of the inspector. Hosts may set the custom properties `--inspector-…`, and `color-scheme` and `font` of
 * the element.
 */
const CSS = `
:host {
  all: initial;
  display: block;
  color-scheme: light dark;
  font: 15px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif;
  text-align: start;
}
:host(:not([inline])) { position: fixed; inset: auto 0 0; z-index: 2147483000; pointer-events: none; }
:host(:not([inline])) > * { pointer-events: auto; }
:host([hidden]), [hidden] { display: none !important; }
.toggle { position: absolute; right: 16px; bottom: 16px; padding: 9px 15px; font: inherit; font-weight: 600; color: light-dark(#fdfbf6, #0f1412); background: light-dark(#1a201d, #e8ede9); border: 2px solid light-dark(#fdfbf6, #0f1412); border-radius: 22px; box-shadow: 0 2px 10px #0004; cursor: pointer; }
:host(:not([inline])) .inspector { max-height: min(76vh, 760px); overflow: auto; border-top: 2px solid var(--accent); box-shadow: 0 -6px 28px #0004; }
* { box-sizing: border-box; margin: 0; }
.inspector {
  --paper: var(--inspector-paper, light-dark(#f3f0e8, #0f1412));
  --card: var(--inspector-card, light-dark(#fdfbf6, #171e1b));
  --ink: var(--inspector-ink, light-dark(#1a201d, #e8ede9));
  --soft: var(--inspector-soft, light-dark(#59615c, #9caaa2));
  --line: var(--inspector-line, light-dark(#dbd5c6, #2b3631));
  --accent: var(--inspector-accent, light-dark(#0c664e, #63d3a8));
  --on-accent: var(--inspector-on-accent, light-dark(#fff, #06231a));
  --brass: light-dark(#84600f, #e4bb68);
  --bad: light-dark(#a12c1f, #ff9f8f);
  --good-paper: light-dark(#ddeee4, #12352a);
  --bad-paper: light-dark(#f8e1dc, #43201b);
  container-type: inline-size;
  padding: var(--inspector-padding, 16px);
  color: var(--ink);
  background: var(--paper);
  overflow-wrap: anywhere;
}
h2, h3, h4 { line-height: 1.25; }
h2 { font-size: 1.35em; }
h3 { font-size: 1.1em; }
h4 { font-size: .92em; margin: 16px 0 4px; }
code, time { font-family: ui-monospace, 'SF Mono', Menlo, Consolas, monospace; font-size: .92em; }
ul { padding-left: 20px; }
.small { font-size: .9em; }
.soft { color: var(--soft); }
.soft code { color: var(--ink); }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
button {
  padding: 7px 13px; font: inherit; font-weight: 600; color: inherit; background: transparent;
  border: 1px solid color-mix(in srgb, var(--soft) 60%, transparent); border-radius: 8px; cursor: pointer;
}
button:hover { border-color: var(--accent); }
button.primary { color: var(--on-accent); background: var(--accent); border-color: var(--accent); }
button[aria-disabled=true] { cursor: wait; font-style: italic; }
.buttons { display: flex; flex-wrap: wrap; gap: 8px; margin-top: 12px; }
.head { display: flex; flex-wrap: wrap; align-items: center; justify-content: space-between; gap: 8px 16px; }
.head > :first-child { flex: 1 1 200px; }
.inspector > .head { padding-bottom: 14px; }
.grid { display: grid; gap: 16px; grid-template-columns: minmax(0, 1fr); }
.card { padding: 18px; min-width: 0; background: var(--card); border: 1px solid var(--line); border-radius: 12px; }
.card > :nth-child(2) { margin-top: 6px; }
.question { margin-top: 12px; padding: 12px 14px; border: 1px solid var(--accent); border-radius: 8px; }
.question ul { margin-top: 8px; }
.verdict { margin-top: 12px; padding: 10px 14px; border-radius: 8px; font-weight: 600; font-size: 1.1em; }
.good { background: var(--good-paper); }
.bad { background: var(--bad-paper); }
.note { margin-top: 8px; padding: 8px 14px; font-size: .93em; border-inline-start: 4px solid var(--line); background: color-mix(in srgb, var(--line) 30%, transparent); border-radius: 4px; }
.harmless { color: var(--soft); }
.details details { margin-top: 12px; }
.report-text { margin-bottom: 16px; }
.details details > * + * { margin-top: 8px; }
summary { font-weight: 600; cursor: pointer; }
table { width: 100%; border-collapse: collapse; font-size: .95em; text-align: start; }
th, td { padding: 6px 10px 6px 0; text-align: start; vertical-align: top; font-weight: 400; border-bottom: 1px solid var(--line); }
thead th { color: var(--soft); font-size: .9em; }
.pill { display: inline-block; padding: 1px 9px; font-size: .92em; font-weight: 600; border-radius: 20px; }
textarea { display: block; width: 100%; height: 220px; padding: 10px; font: .87em/1.45 ui-monospace, Menlo, Consolas, monospace;
  color: inherit; background: var(--card); border: 1px solid var(--soft); border-radius: 8px; }
.timeline { align-self: start; }
.scroll { max-height: 420px; overflow: auto; }
ol { padding: 0; list-style: none; }
li[data-tone] { position: relative; display: grid; padding: 0 0 12px 20px; line-height: 1.4; }
li[data-tone]::before { content: ''; position: absolute; left: 1px; top: 5px; width: 9px; height: 9px; border: 2px solid var(--dot, var(--soft)); border-radius: 50%; background: var(--fill, none); }
li time { order: 3; font-size: .85em; color: var(--soft); }
.detail { order: 2; color: var(--soft); }
.detail:empty { display: none; }
[data-tone=good] { --dot: var(--accent); --fill: var(--accent); }
[data-tone=key] { --dot: var(--brass); --fill: var(--brass); }
[data-tone=wait] { --dot: var(--brass); }
li[data-tone=bad] { --dot: var(--bad); --fill: var(--bad); background: none; }
.sides { display: grid; grid-template-columns: minmax(0, 1fr); gap: 12px; }
.crossing { display: flex; align-items: center; justify-content: center; gap: 18px; color: var(--soft); text-align: center; }
.crossing:empty { display: none; }
.crossing strong { color: var(--ink); font-size: 1.3em; font-variant-numeric: tabular-nums; }
.terms { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 2px 12px; font-size: .93em; }
.terms dt { color: var(--soft); }
.terms dd { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: .95em; }
.terms code { margin-right: 8px; font-size: inherit; }
.chips { display: flex; flex-wrap: wrap; gap: 5px; padding: 0; list-style: none; }
.chips li { position: relative; padding: 1px 8px; border: 1px solid var(--line); border-radius: 6px; font: .87em/1.6 ui-monospace, Menlo, Consolas, monospace; }
.messages-view p { margin-bottom: 8px; }
/* The vault is dark in light mode too, to show that it is separate from the page. */
.vault { --ink: #e3ede7; --soft: #a3b8ad; --line: #2d4339; --accent: #e4bb68; --on-accent: #14241e; color: var(--ink); background: light-dark(#14241e, #0a0f0d); border-color: var(--line); }
.vault code { color: #e4bb68; }
.holding { padding: 12px 0; }
.holding + .holding { border-top: 1px solid var(--line); }
.holding h4 { margin: 0; font-size: 1em; }
.holding .small { color: var(--soft); }
.sealed { margin: 6px 0; }
/* These bars are shown instead of a token's value. */
.bars { display: block; height: 14px; max-width: 240px; border-radius: 3px; background: repeating-linear-gradient(90deg, #e4bb68 0 7px, transparent 7px 9px); mask-image: linear-gradient(90deg, #000 55%, transparent); opacity: .85; }
[data-expired] .bars { opacity: .3; }
@container (min-width: 860px) {
  .grid { grid-template-columns: minmax(0, 1fr) 340px; }
  .sides { grid-column: 1 / -1; grid-template-columns: minmax(0, 1fr) auto minmax(0, 1fr); }
  .sides:has(.crossing:empty) { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .crossing { flex-direction: column; padding: 0 6px; }
  .crossing strong { display: block; }
}
@container (max-width: 520px) {
  .card { padding: 14px; }
  .report, .report tbody, .report td, .report th { display: block; }
  .report thead { display: none; }
  .report tr { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: 0 10px; padding: 8px 0; border-bottom: 1px solid var(--line); }
  .report th, .report td { padding: 0; border: 0; }
  .report td:nth-child(3) { grid-column: 1 / -1; }
}
@media (prefers-reduced-motion: no-preference) {
  li[data-tone] { animation: arrive .25s ease-out; }
  @keyframes arrive { from { opacity: 0; translate: 0 -6px; } }
}
`

/** Adds the style sheet to a shadow root. A constructed sheet needs no permission of the page's policy. */
export function addStyle(root: ShadowRoot): void {
  const sheet = new CSSStyleSheet()
  sheet.replaceSync(CSS.replace(/\/\*.*?\*\/|\n\s*/g, ''))
  root.adoptedStyleSheets = [sheet]
}
