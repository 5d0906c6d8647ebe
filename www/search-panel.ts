/** Handles the search button, and shows the report of the search. */
import { searchComparison } from './comparison.js'
import { byId, el, onClick, replace } from './dom.js'
import { plant, type Planted } from './plant.js'
import { footnote, table, tokensIn, verdict, verdictOnPage } from './report.js'
import { searchPage, type Report } from './search.js'

export function setUpSearch(): void {
  onClick('search', () => void run())
}

async function run(): Promise<void> {
  const button = byId<HTMLButtonElement>('search')
  const planted = byId<HTMLInputElement>('plant').checked
  button.disabled = true
  button.textContent = 'Searching…'
  const plants = planted ? await plant() : null
  if (!planted) searchComparison()
  try {
    show(await searchPage(), plants)
  } finally {
    await plants?.remove()
    button.disabled = false
    button.textContent = 'Search again'
  }
}

function show(report: Report, plants: Planted | null): void {
  replace(byId('verdict'), plants ? verdictOnPlants(report, plants) : verdictOnPage(report))
  const open = byId('report').querySelector('details')?.open ?? false
  replace(
    byId('report'),
    el(
      'details',
      { open: open || Boolean(tokensIn(report).length) },
      el('summary', {}, 'Where it searched'),
      table(report.places),
      el('p', { class: 'small' }, footnote(report)),
    ),
  )
}

function verdictOnPlants({ places }: Report, { tokens }: Planted): HTMLElement {
  const planted = Object.entries(tokens)
  const missed = planted.filter(([name, token]) => {
    const findings = places.find(({ place }) => place === name)?.findings ?? []
    return !findings.some(({ value }) => value === token)
  })
  if (!missed.length)
    return verdict(`Found all ${planted.length} planted tokens, and removed them again.`, true)
  const names = missed.map(([name]) => name).join(', ')
  return verdict(`The search is broken: it missed what was planted in ${names}.`, false)
}
