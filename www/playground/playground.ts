/** The playground: edits a configuration, and shows what the core says about it and what follows from it. */
import type { HeaderConfig } from 'strongroom/headers'
import { byId, code, el, onClick, terms } from '../dom.js'
import { setUpSample } from '../sample.js'
import { HOSTS } from './hosts.js'
import { configurationModule, configurationText } from './source.js'
import { stop, tryOut } from './start.js'

/** Milliseconds without a key press after which the configuration is tried. */
const PAUSE_MS = 250

const editor = byId<HTMLTextAreaElement>('configuration')
const example = byId<HTMLSelectElement>('example')
const host = byId<HTMLSelectElement>('host')
const origin = byId<HTMLInputElement>('origin')
const worker = byId<HTMLInputElement>('worker')

const examples: Record<string, object> = JSON.parse(byId('examples').textContent)
const copyButtons = document.querySelectorAll<HTMLButtonElement>('#results .listing button')
/** Why files cannot be copied. */
const FORMER = 'These files are those of the last configuration that could be read.'
const REFUSED = 'These files have the problems of the configuration. Fix it before you copy them.'
let pause = 0

function setUp(): void {
  example.append(...Object.keys(examples).map((name) => el('option', {}, name)))
  host.append(...Object.keys(HOSTS).map((name) => el('option', {}, name)))
  example.addEventListener('change', () => choose(example.value))
  host.addEventListener('change', () => void update())
  for (const field of [editor, origin, worker]) {
    field.addEventListener('input', () => {
      invalidate()
      pause = setTimeout(() => void update(), PAUSE_MS)
    })
  }
  onClick('format', format)
  setUpSample()
  choose(example.value)
}

function choose(name: string): void {
  editor.value = configurationText(examples[name])
  void update()
}

function format(): void {
  const { value, fault } = parsed()
  if (!fault) editor.value = configurationText(value)
}

/** Marks the verdict as one about a former configuration. The files cannot be copied before the next verdict. */
function invalidate(): void {
  clearTimeout(pause)
  stop()
  byId('verdict').ariaBusy = 'true'
  for (const button of copyButtons) button.disabled = true
}

async function update(): Promise<void> {
  invalidate()
  const { value, fault } = parsed()
  if (fault) return showProblems('not JSON', [fault], FORMER)
  const address = URL.parse(worker.value, origin.value)
  if (!address || !worker.value.startsWith('/')) {
    const problem = 'The app needs an origin, and the worker’s file a path on it.'
    return showProblems('no address', [problem], FORMER)
  }
  showFiles(value, address)
  const verdict = await tryOut(value, address.href)
  if (!verdict) return
  if (verdict.code === null) showStarted()
  else showProblems(verdict.code, verdict.problems, REFUSED)
}

function parsed(): { value?: unknown; fault?: string } {
  try {
    return { value: JSON.parse(editor.value) }
  } catch (error) {
    return { fault: (error as Error).message }
  }
}

function showStarted(): void {
  showVerdict(el('p', { class: 'verdict good' }, 'The vault starts.'))
  editor.removeAttribute('aria-invalid')
  markFiles(null)
}

/** Shows the problems of a configuration. `reason`: why the files below cannot be copied. */
function showProblems(name: string, problems: string[], reason: string): void {
  const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`
  const title = el('p', { class: 'verdict bad' }, `${count}: `, code(name))
  const list = problems.map((problem) => el('li', {}, ...withCode(problem)))
  showVerdict(title, el('ol', { class: 'problems' }, ...list))
  editor.setAttribute('aria-invalid', 'true')
  markFiles(reason)
}

/** Marks the files as those of a configuration that does not start, or with `null` as those to copy. */
function markFiles(reason: string | null): void {
  byId('results').toggleAttribute('data-refused', reason !== null)
  byId('refused').hidden = reason === null
  byId('refused').textContent = reason
  for (const button of copyButtons) button.disabled = reason !== null
}

function showVerdict(...content: HTMLElement[]): void {
  byId('verdict').replaceChildren(...content)
  byId('verdict').ariaBusy = 'false'
}

/** Returns a text in which the parts between backticks are code. */
function withCode(text: string): (Node | string)[] {
  return text.split('`').map((part, index) => (index % 2 ? code(part) : part))
}

/** Shows the files and addresses that follow from a configuration, whether the core accepts it or not. */
function showFiles(configuration: unknown, address: URL): void {
  const config = (configuration ?? {}) as HeaderConfig
  show('config-file', () => configurationModule(configuration))
  const { file, print, note, section } = HOSTS[host.value]!
  byId('headers-name').textContent = file
  byId('host-note').replaceChildren(...withCode(note))
  byId<HTMLAnchorElement>('host-section').hash = section
  show('headers', () => print(config, { origin: address.origin, worker: address.pathname }))
  const { redirectUri } = config
  const target = typeof redirectUri === 'string' ? URL.parse(redirectUri, address)?.href : undefined
  byId('registration').replaceChildren(
    terms([
      ['Redirect URI', target ?? '–'],
      ['Redirect URI after a logout', `${address.origin}/`],
      ['Allowed web origin (CORS)', address.origin],
    ]),
  )
}

/** Shows a file, or the reason why it cannot be generated. */
function show(id: string, content: () => string): void {
  const target = byId(id)
  try {
    target.textContent = content()
    delete target.dataset.failed
  } catch (error) {
    target.textContent = (error as Error).message
    target.dataset.failed = ''
  }
}

setUp()
