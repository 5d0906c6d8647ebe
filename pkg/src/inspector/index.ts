/** Defines the element `<strongroom-inspector>`: see docs/inspector.md. */
import type { Auth } from '../page/auth/auth.js'
import type { Strongroom } from '../page/api.js'
import { writeReport } from './bug-report.js'
import { button, el } from './dom.js'
import { searchPage, type SearchReport } from './search.js'
import { SearchView } from './search-view.js'
import { Sides, type Shown } from './sides.js'
import { addStyle } from './style.js'
import { Timeline } from './timeline.js'

export type { Finding, PlaceReport, SearchReport } from './search.js'

/** The object whose vault the inspector shows: the result of `createAuth()`, `connect()` or `connectFrame()`. */
export type InspectedAuth = Strongroom | Pick<Auth<any>, 'connect' | 'subscribe'>

/** Milliseconds. Events of the vault come in groups, and the vault is asked once for each group. */
const SETTLE = 50

// On a server there is no such class, and nothing is defined.
const Base = globalThis.HTMLElement ?? (Object as unknown as typeof HTMLElement)

/**
 * Shows what a page can see next to what its vault holds, the events of the vault, and the messages between them.
 * Searches the page for tokens. For development: without `inspect: true` in the vault's configuration the element shows
 * the page's side only.
 *
 * The element is a button in the corner of the window, which opens a drawer. With the attribute `inline` it is a block
 * of the page instead.
 *
 * Set the property `auth`. A search changes nothing in the page. The test of the search writes fake tokens for a moment:
 * it says where, and begins only when the user agrees.
 */
export class StrongroomInspectorElement extends Base {
  #auth: InspectedAuth | null = null
  #client: Strongroom | null = null
  #shown: Shown = null
  #stops: (() => void)[] = []
  #isAsked = false
  /** The code of the error with which the vault failed, until it works again. */
  #failure: string | null = null
  readonly #timeline: Timeline
  readonly #sides: Sides
  readonly #search: SearchView
  readonly #state = el('p', { role: 'status' })
  readonly #reportText = el('div', { class: 'report-text', hidden: true })
  readonly #copied = el('span', { role: 'status' })
  readonly #toggle = button('Session inspector', () => this.#turn(true), {
    class: 'toggle',
    'aria-expanded': 'false',
  })
  readonly #close = button('Close', () => this.#turn(false), { class: 'close' })
  readonly #drawer: HTMLElement

  constructor() {
    super()
    this.#timeline = new Timeline()
    this.#sides = new Sides()
    this.#search = new SearchView(this, () => this.search())
    const root = this.attachShadow({ mode: 'open' })
    addStyle(root)
    this.#drawer = el(
      'section',
      { class: 'inspector', 'aria-labelledby': 'title' },
      el(
        'div',
        { class: 'head' },
        el('div', {}, el('h2', { id: 'title' }, 'Session inspector'), this.#state),
        this.#copied,
        button('Copy a report', () => this.#copyReport(), { class: 'copy' }),
        this.#close,
      ),
      this.#reportText,
      el('div', { class: 'grid' }, this.#search.element, this.#timeline.element, this.#sides.element),
    )
    // The app must not get the key, which might close a dialog of its own.
    this.#drawer.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape' || this.#isInline) return
      event.stopPropagation()
      this.#turn(false)
    })
    root.append(this.#toggle, this.#drawer)
  }

  static get observedAttributes(): string[] {
    return ['inline', 'open']
  }

  /** Called by the browser. */
  attributeChangedCallback(): void {
    const isOpen = this.#isInline || this.open
    this.#drawer.hidden = !isOpen
    this.#toggle.hidden = isOpen
    this.#close.hidden = this.#isInline
  }

  /** True if the drawer is open. The attribute `open` has the same value. */
  get open(): boolean {
    return this.hasAttribute('open')
  }
  set open(isOpen: boolean) {
    this.toggleAttribute('open', isOpen)
  }

  get #isInline(): boolean {
    return this.hasAttribute('inline')
  }

  /** Opens or closes the drawer, and moves the focus to the button with which the user can undo it. */
  #turn(isOpen: boolean): void {
    this.open = isOpen
    ;(isOpen ? this.#close : this.#toggle).focus()
  }

  /**
   * The object whose vault is shown, or `null`. With the result of `createAuth()`, the element connects, as each other
   * use does.
   */
  get auth(): InspectedAuth | null {
    return this.#auth
  }
  set auth(auth: InspectedAuth | null) {
    if (auth === this.#auth) return
    this.#detach()
    this.#auth = auth
    if (this.isConnected) this.#attach()
  }

  /**
   * Searches this page for strings that look like tokens. Resolves with the places and the findings. Changes nothing in
   * the page, so that tests of an app can call it. Fires the event `search`, whose `detail` is the report.
   */
  async search(): Promise<SearchReport> {
    const report = await searchPage(this)
    this.dispatchEvent(new CustomEvent('search', { detail: report }))
    return report
  }

  /** Called by the browser. */
  connectedCallback(): void {
    this.attributeChangedCallback()
    // A framework may have set the property before this class was defined.
    if (Object.hasOwn(this, 'auth')) {
      const { auth } = this
      Reflect.deleteProperty(this, 'auth')
      this.auth = auth
    }
    this.#attach()
  }

  /** Called by the browser. */
  disconnectedCallback(): void {
    this.#detach()
  }

  #attach(): void {
    this.#detach()
    const timer = setInterval(() => document.hidden || this.#show(), 1000)
    this.#stops.push(() => clearInterval(timer))
    this.#show()
    const auth = this.#auth
    if (!auth) return
    if ('inspect' in auth) return this.#watch(auth)
    let error: unknown = null
    let isConnecting = false
    const stop = auth.subscribe((state) => {
      if (state.error && state.error !== error) this.#timeline.showError(state.error)
      error = state.error
      this.#fail(state.status === 'failed' ? (state.error?.code ?? 'unknown') : null)
      if (state.status !== 'connected' || isConnecting) return
      isConnecting = true
      // This subscription may have ended before the client is there.
      auth.connect().then(
        (client) => this.#auth === auth && this.isConnected && !this.#client && this.#watch(client),
        () => (isConnecting = false),
      )
    })
    this.#stops.push(stop)
  }

  #watch(client: Strongroom): void {
    this.#client = client
    this.#stops.push(
      this.#timeline.watch(client),
      client.on('change', () => {
        this.#fail(null)
        void this.#look()
      }),
      client.on('failed', ({ code }) => this.#fail(code)),
      client.on('trace', () => this.#look()),
    )
    void this.#look()
  }

  #detach(): void {
    for (const stop of this.#stops.splice(0)) stop()
    this.#client = null
    this.#shown = null
    this.#failure = null
  }

  /** Asks the vault for its holdings. */
  async #look(): Promise<void> {
    const client = this.#client
    if (!client || this.#isAsked) return
    this.#isAsked = true
    await new Promise((resolve) => setTimeout(resolve, SETTLE))
    this.#isAsked = false
    const shown = await client.inspect().catch((error: Error) => error)
    if (client !== this.#client) return
    this.#shown = shown
    if (Array.isArray(shown)) this.#timeline.isTraced = true
    this.#show()
  }

  #fail(code: string | null): void {
    if (code === this.#failure) return
    this.#failure = code
    this.#show()
  }

  #show(): void {
    const text = this.#describe()
    if (this.#state.textContent !== text) this.#state.textContent = text
    void this.#sides.show(this.#client, this.#shown)
  }

  #describe(): string {
    if (!this.#auth) return 'Not connected: set the property auth of this element.'
    if (this.#failure) return `The vault does not work: ${this.#failure}. See docs/errors.md.`
    if (!this.#client) return 'Connecting…'
    return this.#client.session ? 'A user is signed in.' : 'Nobody is signed in.'
  }

  /** Shows the report, so that the user can read it, and copies it. */
  async #copyReport(): Promise<void> {
    const text = el('textarea', { readonly: true, 'aria-label': 'The report' })
    text.value = writeReport({
      client: this.#client,
      shown: this.#shown,
      timeline: (hide) => this.#timeline.report(hide),
      refreshTimes: this.#timeline.refreshTimes(),
      search: this.#search.report,
      controls: this.#search.controls,
    })
    this.#reportText.replaceChildren(text)
    this.#reportText.hidden = false
    // A screen reader announces the same text again only if it was removed in between.
    this.#copied.textContent = ''
    let message = 'Copied'
    try {
      await navigator.clipboard.writeText(text.value)
    } catch {
      text.select()
      text.focus()
      message = 'The browser did not allow copying. The text is selected: press Ctrl+C or ⌘C.'
    }
    this.#copied.textContent = message
  }
}

declare global {
  interface HTMLElementTagNameMap {
    'strongroom-inspector': StrongroomInspectorElement
  }
}

// An app may load this module twice, such as from two bundles.
if (globalThis.customElements && !customElements.get('strongroom-inspector')) {
  customElements.define('strongroom-inspector', StrongroomInspectorElement)
}
