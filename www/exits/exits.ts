/**
 * The page of the exits. For each way and each column, a frame has a page with the headers of the column, whose script tries
 * to send a name to another server. This page asks its own server what has arrived there.
 */
import { byId, code, el, onClick } from '../dom.js'
import { showTrouble } from '../error-banner.js'

type Column = 'policy' | 'list'

/** Milliseconds within which a frame must run its script, and within which the name must arrive without headers. */
const PATIENCE = 10_000

/** Milliseconds by which the other attempts may be slower than the one without headers. */
const GRACE = 1500

/** The secrets of the attempts whose script has run. */
const begun = new Set<string>()

addEventListener('message', ({ data, origin }) => origin === location.origin && begun.add(data))

const rows = WAYS.map((name) => {
  const cells = { policy: el('td', {}, '–'), list: el('td', {}, '–') }
  const row = el('tr', {}, el('th', { scope: 'row' }, labelOf(name)), cells.policy, cells.list)
  byId('ways').append(row)
  return cells
})

/** Returns the name of a way, after the title of its group. Parts between backticks are code. */
function labelOf(name: string): HTMLElement {
  const [title = '', ...rest] = name.split(', ')
  const parts = rest.join(', ').split('`')
  const label = parts.map((part, index) => (index % 2 ? code(part) : part))
  return el('div', {}, el('span', { class: 'small soft' }, title, ' '), el('span', {}, ...label))
}

/** Tries all ways at the same time. */
async function tryAll(): Promise<void> {
  const button = byId<HTMLButtonElement>('try')
  button.disabled = true
  showTrouble(null)
  byId('verdict').textContent = 'Trying…'
  for (const { policy, list } of rows) for (const cell of [policy, list]) cell.textContent = '–'
  // This page becomes the last entry of the history, so the length tells its place.
  history.pushState(null, '')
  const { length } = history
  try {
    const attempts = await Promise.all(rows.map((_, row) => tryWay(row)))
    // The results are read again, because a name may arrive late.
    await wait(GRACE)
    showVerdict(await Promise.all(attempts.map((secrets, row) => secrets && readResult(row, secrets))))
  } catch (error) {
    showTrouble(error)
    byId('verdict').textContent = ''
  } finally {
    byId('frames').replaceChildren()
    // The frames have navigated. Otherwise, the Back button would go back by one navigation of a frame at a time.
    history.go(length - history.length - 1)
    button.disabled = false
  }
}

/**
 * Tries a way in both columns, and then without headers. Resolves with the secrets of both columns, or with `undefined` if
 * nothing arrives without headers.
 */
async function tryWay(row: number): Promise<Record<Column, string> | undefined> {
  const [policy, list] = await Promise.all([attempt(row, 'policy'), attempt(row, 'list')])
  const secrets = { policy, list }
  const control = await attempt(row, 'none')
  if (!(await until(() => hasArrived(control)))) {
    return void show(row, { policy: 'no result', list: 'no result' })
  }
  await wait(GRACE)
  await readResult(row, secrets)
  return secrets
}

/** Shows in which columns the name has arrived, and resolves with it. */
async function readResult(row: number, secrets: Record<Column, string>): Promise<Record<Column, boolean>> {
  const found = { policy: await hasArrived(secrets.policy), list: await hasArrived(secrets.list) }
  show(row, { policy: textOf(found.policy), list: textOf(found.list) })
  return found
}

/** Tries a way in a page of its own. Resolves with the secret when the page's script has run. */
async function attempt(row: number, column: Column | 'none'): Promise<string> {
  const secret = await request<string>(`/begin/${row}`, 'POST')
  byId('frames').append(el('iframe', { src: `/try/${column}/${secret}` }))
  if (await until(() => begun.has(secret))) return secret
  throw new Error('The page of an attempt has not run its script.')
}

const hasArrived = (secret: string) => request<boolean>(`/arrived/${secret}`)

async function request<T>(path: string, method = 'GET'): Promise<T> {
  const response = await fetch(path, { method })
  if (!response.ok) throw new Error(`The demo's server responded to ${path} with ${response.status}.`)
  return response.json()
}

const wait = (time: number) => new Promise((resolve) => setTimeout(resolve, time))

/** Resolves with false if the condition is not true within `PATIENCE`. */
async function until(condition: () => boolean | Promise<boolean>): Promise<boolean> {
  const end = performance.now() + PATIENCE
  while (!(await condition())) {
    if (performance.now() > end) return false
    await wait(100)
  }
  return true
}

const textOf = (isArrived: boolean) => (isArrived ? 'arrived' : 'did not arrive')

const KINDS: Record<string, string> = { arrived: 'bad', 'did not arrive': 'good' }

function show(row: number, texts: Record<Column, string>): void {
  for (const column of ['policy', 'list'] as const) {
    const text = texts[column]
    rows[row]![column].replaceChildren(el('span', { class: `pill ${KINDS[text] ?? ''}` }, text))
  }
}

function showVerdict(all: (Record<Column, boolean> | undefined)[]): void {
  const results = all.filter((found) => found !== undefined)
  const count = (column: Column) => results.filter((found) => found[column]).length
  const missing = all.length - results.length
  const sentences = [
    `With the policy, ${count('policy')} of ${results.length} ways reach the other server.`,
    `With policy and list, ${count('list')} of ${results.length} do.`,
    missing ? `No result: ${missing}. In this browser, the name does not arrive even without headers.` : '',
  ]
  byId('verdict').textContent = sentences.join(' ').trim()
}

onClick('try', () => void tryAll())
