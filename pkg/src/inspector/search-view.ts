/** The search for tokens: its buttons, its verdict, and the report of each place. */
import { describePlants, testSearch, type Control } from './control.js'
import { button, code, el, replace, type Child } from './dom.js'
import { plural, took } from './format.js'
import { HISTORY } from './places.js'
import type { PlaceReport, SearchReport } from './search.js'

export class SearchView {
  readonly element: HTMLElement
  /** The latest results, for the bug report. */
  report: SearchReport | null = null
  controls: Control[] | null = null
  readonly #search = button('Search this page', () => this.#run(this.#search, () => this.#find()), {
    class: 'primary search',
  })
  readonly #test = button('Test the search…', () => this.#ask(), { class: 'test', 'aria-expanded': 'false' })
  readonly #question = el('div', { class: 'question', hidden: true })
  readonly #verdict = el('div', { 'aria-live': 'polite' })
  readonly #details = el('div', { class: 'details' })
  readonly #host: HTMLElement
  readonly #searchPage: () => Promise<SearchReport>

  constructor(host: HTMLElement, searchPage: () => Promise<SearchReport>) {
    this.#host = host
    this.#searchPage = searchPage
    this.element = el(
      'section',
      { class: 'card searching', 'aria-labelledby': 'search-title' },
      el('h3', { id: 'search-title' }, 'Search this page for a token'),
      el(
        'p',
        { class: 'soft' },
        'Searches every object that script can reach from ',
        code('window'),
        ', storage, cookies, history, the document and the messages for strings that look like tokens.',
      ),
      el('div', { class: 'buttons' }, this.#search, this.#test),
      this.#question,
      this.#verdict,
      this.#details,
    )
  }

  async #find(): Promise<void> {
    this.report = await this.#searchPage()
    this.#show(verdictOn(this.report), ...notesOn(this.report))
    const { places, tokens, notSearched, milliseconds } = this.report
    this.#list(
      tokens.length > 0,
      'Where it searched',
      table(['Place', 'Looked at', 'Found'], places.map(row)),
      el(
        'p',
        { class: 'small' },
        `Took ${took(milliseconds)}. Not searched: variables in closures, which script cannot
reach, cookies with HttpOnly, and workers.`,
      ),
      el('ul', { class: 'small' }, ...notSearched.map((what) => el('li', {}, `Not searched: ${what}.`))),
    )
  }

  /** Says what the test writes, and asks if it may. */
  #ask(): void {
    const plants = describePlants(this.#host)
    const begin = button(
      'Plant and search',
      () => {
        this.#close()
        return this.#run(this.#test, () => this.#control())
      },
      { class: 'primary plant' },
    )
    this.#question.replaceChildren(
      el(
        'p',
        {},
        'This test writes a fake token to each of these places for a moment, searches the place, and removes the token again. Other tabs of this origin may notice the changes of localStorage.',
      ),
      el('ul', { class: 'small' }, ...plants.map(({ place, writes }) => el('li', {}, `${place}: ${writes}`))),
      el(
        'div',
        { class: 'buttons' },
        begin,
        button('Cancel', () => this.#close()),
      ),
    )
    this.#question.hidden = false
    this.#test.setAttribute('aria-expanded', 'true')
    begin.focus()
  }

  #close(): void {
    this.#question.hidden = true
    this.#test.setAttribute('aria-expanded', 'false')
    this.#test.focus()
  }

  async #control(): Promise<void> {
    this.controls = await testSearch(this.#host)
    this.#show(verdictOnControls(this.controls))
    const rows = this.controls.map(({ place, result, error }) =>
      el(
        'tr',
        {},
        el('th', { scope: 'row' }, place),
        el('td', {}, pill(result, result === 'found')),
        el('td', {}, error ? `${error.name}: ${error.message}` : ''),
      ),
    )
    this.#list(false, 'Where it planted', table(['Place', 'Planted token', 'Error'], rows))
  }

  async #run(used: HTMLButtonElement, action: () => Promise<void>): Promise<void> {
    const label = used.textContent
    // A disabled button would lose the focus.
    if (used.ariaDisabled === 'true') return
    used.ariaDisabled = 'true'
    used.textContent = 'Searching…'
    try {
      await action()
    } catch (error) {
      this.#show(verdict(`The search failed: ${error}`, false))
    } finally {
      used.ariaDisabled = null
      used.textContent = label
    }
  }

  /** Shows a verdict. A screen reader announces the same text again only if it was removed in between. */
  #show(...verdict: HTMLElement[]): void {
    this.#verdict.replaceChildren(...verdict)
  }

  #list(isImportant: boolean, title: string, ...content: Child[]): void {
    const open = this.#details.querySelector('details')?.open ?? false
    replace(this.#details, el('details', { open: open || isImportant }, el('summary', {}, title), ...content))
  }
}

function verdict(text: string, good: boolean): HTMLElement {
  return el('p', { class: `verdict ${good ? 'good' : 'bad'}` }, text)
}

function verdictOn({ tokens: { length } }: SearchReport): HTMLElement {
  if (!length) return verdict('No token in this page.', true)
  return verdict(`${plural(length, 'token-shaped string')} in this page.`, false)
}

/** Explains what looks like a token in the page's address and history, and is harmless. */
function notesOn({ places }: SearchReport): HTMLElement[] {
  const found = places.filter(({ place }) => place === HISTORY).flatMap(({ findings }) => findings)
  return found.flatMap(({ known, masked }) =>
    known ? [el('p', { class: 'note' }, code(masked), ` is ${known}.`)] : [],
  )
}

function verdictOnControls(controls: Control[]): HTMLElement {
  const found = controls.filter(({ result }) => result === 'found').length
  const missed = controls.filter(({ result }) => result === 'missed').map(({ place }) => place)
  if (missed.length) {
    return verdict(`The search is broken: it missed what was planted in ${missed.join(', ')}.`, false)
  }
  const refused = controls.length - found
  const rest = refused ? ` ${plural(refused, 'place')} could not be tested.` : ''
  return verdict(`Found all ${found} planted tokens, and removed them again.${rest}`, true)
}

function table(head: string[], rows: HTMLElement[]): HTMLElement {
  const columns = head.map((text) => el('th', { scope: 'col' }, text))
  return el('table', { class: 'report' }, el('thead', {}, el('tr', {}, ...columns)), el('tbody', {}, ...rows))
}

function row({ place, looked, unit, findings }: PlaceReport): HTMLElement {
  const tokens = findings.filter(({ known }) => !known)
  const known = findings.filter((finding) => finding.known)
  return el(
    'tr',
    {},
    el('th', { scope: 'row' }, place),
    el('td', {}, plural(looked, unit)),
    el(
      'td',
      {},
      pill(tokens.length ? plural(tokens.length, 'token') : 'none', !tokens.length),
      ...tokens.map(({ shape, masked, where }) =>
        el('p', { class: 'small' }, `${shape} `, code(masked), ` at ${where}`),
      ),
      ...known.map(({ known, masked }) => el('p', { class: 'small harmless' }, code(masked), ` is ${known}`)),
    ),
  )
}

function pill(text: string, good: boolean): HTMLElement {
  return el('span', { class: `pill ${good ? 'good' : 'bad'}` }, text)
}
