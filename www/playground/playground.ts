/** The playground: edits a configuration, and shows what the core says about it and what follows from it. */
import type { HeaderConfig } from 'strongroom/headers'
import { byId, code, el, onClick, terms } from '../dom.js'
import { setUpSample } from '../sample.js'
import { HOSTS } from './hosts.js'
import { configurationFile, workerFile } from './source.js'
import { stop, tryOut } from './start.js'

/** Milliseconds without a key press after which the configuration is tried. */
const PAUSE_MS = 250

const editor = byId<HTMLTextAreaElement>('configuration')
const example = byId<HTMLSelectElement>('example')
const host = byId<HTMLSelectElement>('host')
const origin = byId<HTMLInputElement>('origin')
const worker = byId<HTMLInputElement>('worker')

const examples: Record<string, object> = JSON.parse(byId('examples').textContent)
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
  editor.value = configurationFile(examples[name])
  void update()
}

function format(): void {
  const { value, fault } = parsed()
  if (!fault) editor.value = configurationFile(value)
}

/** Marks the verdict as one about a former configuration. */
function invalidate(): void {
  clearTimeout(pause)
  stop()
  byId('verdict').ariaBusy = 'true'
}

async function update(): Promise<void> {
  invalidate()
  const { value, fault } = parsed()
  if (fault) return showProblems('not JSON', [fault])
  const address = URL.parse(worker.value, origin.value)
  if (!address || !worker.value.startsWith('/')) {
    return showProblems('no address', ['The app needs an origin, and the worker’s file a path on it.'])
  }
  showFiles(value, address)
  const verdict = await tryOut(value, address.href)
  if (!verdict) return
  if (verdict.code === null) showStarted()
  else showProblems(verdict.code, verdict.problems)
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
}

function showProblems(name: string, problems: string[]): void {
  const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`
  const title = el('p', { class: 'verdict bad' }, `${count}: `, code(name))
  const list = problems.map((problem) => el('li', {}, ...withCode(problem)))
  showVerdict(title, el('ol', { class: 'problems' }, ...list))
  editor.setAttribute('aria-invalid', 'true')
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
  show('worker-file', () => workerFile(configuration))
  const { file, print } = HOSTS[host.value]!
  byId('headers-name').textContent = file
  show('headers', () => print(config, { origin: address.origin, worker: address.pathname }))
  const redirectUri = URL.parse(String(config.redirectUri), address)?.href
  byId('registration').replaceChildren(
    terms([
      ['Redirect URI', redirectUri ?? '–'],
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
