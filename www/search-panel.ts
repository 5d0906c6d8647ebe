/** Handles the search button, and shows the report of the search. */
import { byId, code, el, onClick, replace } from './dom.js'
import { plural, took } from './format.js'
import { plant, plantInLocalStorage, type Planted } from './plant.js'
import { searchPage, type PlaceReport, type Report } from './search.js'

export function setUpSearch(): void {
  onClick('search', () => void run())
}

async function run(): Promise<void> {
  const button = byId<HTMLButtonElement>('search')
  const planted = byId<HTMLInputElement>('plant').checked
  button.disabled = true
  button.textContent = 'Searching…'
  const plants = planted ? await plant() : null
  try {
    const report = await searchPage()
    show(report, plants, plants ? null : await searchWithToken())
  } finally {
    await plants?.remove()
    button.disabled = false
    button.textContent = 'Search again'
  }
}

/** Searches this page again while localStorage has a fake token. */
async function searchWithToken(): Promise<Report> {
  const remove = plantInLocalStorage()
  try {
    return await searchPage()
  } finally {
    remove()
  }
}

function show(report: Report, plants: Planted | null, other: Report | null): void {
  const [verdict, good] = plants ? verdictOnPlants(report, plants) : verdictOnPage(report)
  replace(
    byId('report'),
    el(
      'div',
      { class: 'compare' },
      column('strongroom', verdict, good),
      ...(other ? [otherColumn(other)] : []),
    ),
    table(report.places),
    el('p', { class: 'small' }, footnote(report)),
  )
}

function column(title: string, verdict: string, good: boolean, ...more: HTMLElement[]): HTMLElement {
  const shown = el('p', { class: `verdict ${good ? 'good' : 'bad'}` }, verdict)
  return el('div', {}, el('p', { class: 'small' }, title), shown, ...more)
}

function otherColumn(report: Report): HTMLElement {
  const tokens = report.places.flatMap(({ findings }) => findings.filter(({ known }) => !known))
  const found = tokens.map(({ masked, where }) => el('p', { class: 'small' }, code(masked), ` at ${where}`))
  return column('The same page, with a token in localStorage', ...verdictOnPage(report), ...found)
}

function verdictOnPage({ places }: Report): [string, boolean] {
  const tokens = places.flatMap(({ findings }) => findings.filter(({ known }) => !known))
  if (!tokens.length) return ['No token in this page.', true]
  return [`${plural(tokens.length, 'token-shaped string')} in this page.`, false]
}

function verdictOnPlants({ places }: Report, { tokens }: Planted): [string, boolean] {
  const planted = Object.entries(tokens)
  const missed = planted.filter(([name, token]) => {
    const findings = places.find(({ place }) => place === name)?.findings ?? []
    return !findings.some(({ value }) => value === token)
  })
  if (!missed.length) return [`Found all ${planted.length} planted tokens, and removed them again.`, true]
  return [
    `The search is broken: it missed what was planted in ${missed.map(([name]) => name).join(', ')}.`,
    false,
  ]
}

function footnote({ milliseconds, cut }: Report): string {
  const end = cut ? ' There were more objects than the search’s limit.' : ''
  return `Took ${took(milliseconds)}. Script cannot reach variables in closures, so this search cannot either. The project’s tests search the whole heap with a debugger.${end}`
}

function table(places: PlaceReport[]): HTMLElement {
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
