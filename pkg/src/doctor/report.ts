/** The report: one line for each thing that was looked at, and its two formats. */

/** The result of a line. */
export type Result = 'ok' | 'fault' | 'slow' | 'unseen' | 'unused'

/** One line of the report. */
export interface Line {
  /** A stable name, such as `page.worker-src`. The part before the dot is the line's group. */
  id: string
  result: Result
  text: string
  /** The value that was seen. */
  seen?: string
  /** The exact line that fixes a fault, or makes something faster. A function if the whole line is known only at the end. */
  fix?: string | (() => string)
}

/** A line to which several faults contribute, such as a policy. */
export interface SharedFix {
  /** Notes that this fault must be fixed, and returns the function that returns the whole line. */
  note(): () => string
}

const SIGNS: Record<Result, string> = { ok: '✓', fault: '✗', slow: '~', unseen: '?', unused: '–' }

const TITLES: Record<string, string> = {
  config: 'Configuration',
  page: 'Page',
  vault: "The vault's origin",
  worker: 'Worker',
  provider: 'Provider',
  api: 'APIs',
  handler: 'Token handler',
}

/** Collects the lines. */
export class Report {
  readonly lines: Line[] = []

  /** Adds a line, in place of one with the same name. */
  add(line: Line): void {
    const place = this.lines.findIndex(({ id }) => id === line.id)
    this.lines.splice(place < 0 ? this.lines.length : place, 1, line)
  }

  /** Adds something that works. */
  ok(id: string, text: string): void {
    this.add({ id, result: 'ok', text })
  }

  /** Adds something that must change: `fix` is the exact line. */
  fault(id: string, text: string, seen: string, fix: string | SharedFix): void {
    this.add({ id, result: 'fault', text, seen, fix: typeof fix === 'string' ? fix : fix.note() })
  }

  /** Adds something that cannot be seen from outside. `text` says why. */
  unseen(id: string, text: string): void {
    this.add({ id, result: 'unseen', text })
  }

  /** Adds something that the deployment does not use. */
  unused(id: string, text: string): void {
    this.add({ id, result: 'unused', text })
  }

  /** Adds a line that is a fault exactly if something wrong was seen. */
  check(id: string, text: string, wrong: string | undefined, seen: string, fix: string | SharedFix): void {
    if (wrong === undefined) this.ok(id, text)
    else this.fault(id, wrong, seen, fix)
  }

  /** Adds a line that says exactly if `slower` is given that something works, and is slower than it could be. */
  checkSpeed(id: string, text: string, slower: string | undefined, seen: string, fix: string): void {
    if (slower === undefined) this.ok(id, text)
    else this.add({ id, result: 'slow', text: slower, seen, fix })
  }

  /** Sorts the lines by group, in the order of {@link TITLES}. */
  group(): void {
    const groups = Object.keys(TITLES)
    const place = ({ id }: Line) => groups.indexOf(id.split('.')[0]!)
    this.lines.sort((a, b) => place(a) - place(b))
  }

  get hasFaults(): boolean {
    return this.lines.some(({ result }) => result === 'fault')
  }
}

/** Returns the number of lines with each result. */
const count = (lines: Line[]) => {
  const counts: Record<Result, number> = { ok: 0, fault: 0, slow: 0, unseen: 0, unused: 0 }
  for (const { result } of lines) counts[result]++
  return counts
}

/** Returns the report as JSON. */
export const asJson = (url: string, { lines }: Report, requests: number): string => {
  const whole = (_: string, value: unknown) => (typeof value === 'function' ? value() : value)
  return `${JSON.stringify({ url, requests, counts: count(lines), lines }, whole, 2)}\n`
}

/** Returns the report for people. */
export const asText = (url: string, { lines }: Report, requests: number): string => {
  let text = `strongroom doctor ${url}\n`
  const lineOf = new Map<string, string>()
  let group = ''
  for (const { id, result, text: what, seen, fix } of lines) {
    const [of = ''] = id.split('.')
    if (of !== group) text += `\n${TITLES[(group = of)] ?? of}\n`
    text += `  ${SIGNS[result]} ${printable(what).replaceAll('\n', ' ')}\n`
    if (seen !== undefined) text += `      seen  ${indented(seen)}\n`
    if (typeof fix === 'string') text += `      fix   ${indented(fix)}\n`
    else if (fix !== undefined) {
      // Several faults share one line, which is printed once.
      const line = indented(fix())
      const first = lineOf.get(line)
      text += `      fix   ${first === undefined ? line : `the whole line of "${first}"`}\n`
      lineOf.set(line, first ?? printable(what).replaceAll('\n', ' '))
    }
  }
  const { ok, fault, slow, unseen, unused } = count(lines)
  const faults = fault ? `${SIGNS.fault} ${fault}` : 'no fault'
  return `${text}\n${SIGNS.ok} ${ok}  ${faults}  ${SIGNS.slow} ${slow}  ${SIGNS.unseen} ${unseen}  ${SIGNS.unused} ${unused}   ${requests} requests\n`
}

/** Replaces characters by which a server could write to the terminal, or change the order of what it shows. */
export const printable = (text: string) =>
  text.replace(/[\0-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, '�')

const indented = (text: string) => printable(text).replaceAll('\n', `\n${' '.repeat(12)}`)
