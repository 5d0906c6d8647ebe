/** Shows the report of a search. */
import { code, el } from './dom.js'
import { plural, took } from './format.js'
import type { Finding, PlaceReport, Report } from './search.js'

/** Returns the tokens that a search found, each value once. */
export function tokensIn({ places }: Report): Finding[] {
  const all = places.flatMap(({ findings }) => findings.filter(({ known }) => !known))
  return [...new Map(all.reverse().map((finding) => [finding.value, finding])).values()].reverse()
}

/** Shows the result in one sentence. */
export function verdict(text: string, good: boolean): HTMLElement {
  return el('p', { class: `verdict ${good ? 'good' : 'bad'}` }, text)
}

export function verdictOnPage(report: Report): HTMLElement {
  const { length } = tokensIn(report)
  if (!length) return verdict('No token in this page.', true)
  return verdict(`${plural(length, 'token-shaped string')} in this page.`, false)
}

export function footnote({ milliseconds, cut }: Report): string {
  const end = cut ? ' There were more objects than the search’s limit.' : ''
  return `Took ${took(milliseconds)}. Script cannot reach variables in closures, so this search cannot either. The project’s tests search the whole heap with a debugger.${end}`
}

export function table(places: PlaceReport[]): HTMLElement {
  const head = ['Place', 'Looked at', 'Found'].map((text) => el('th', { scope: 'col' }, text))
  return el(
    'table',
    { class: 'report' },
    el('thead', {}, el('tr', {}, ...head)),
    el('tbody', {}, ...places.map(row)),
  )
}

function row({ place, looked, unit, findings }: PlaceReport): HTMLElement {
  const tokens = findings.filter(({ known }) => !known)
  const known = findings.filter((finding) => finding.known)
  return el(
    'tr',
    {},
    el('th', { scope: 'row' }, place),
    el('td', {}, plural(looked, unit).replace('entrys', 'entries')),
    el(
      'td',
      {},
      el(
        'span',
        { class: `pill ${tokens.length ? 'bad' : 'good'}` },
        tokens.length ? plural(tokens.length, 'token') : 'none',
      ),
      ...tokens.map(({ shape, masked, where }) =>
        el('p', { class: 'small' }, `${shape} `, code(masked), ` at ${where}`),
      ),
      ...known.map(({ known, masked }) => el('p', { class: 'small soft' }, code(masked), ` is ${known}`)),
    ),
  )
}
