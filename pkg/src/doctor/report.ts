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
  site: 'Guarded site',
}

/** The content of a line, without its name. */
export type Verdict = Omit<Line, 'id'>

/** Returns the verdict on something that works. */
export const ok = (text: string): Verdict => ({ result: 'ok', text })

/** Returns the verdict on something that must change. `fix` is the exact line that fixes it. */
export const fault = (text: string, seen: string, fix: string | SharedFix): Verdict => ({
  result: 'fault',
  text,
  seen,
  fix: typeof fix === 'string' ? fix : fix.note(),
})

/** Returns the verdict on something that cannot be seen from outside. `text` says why. */
export const unseen = (text: string): Verdict => ({ result: 'unseen', text })

/** Returns the verdict on something that the deployment does not use. */
export const unused = (text: string): Verdict => ({ result: 'unused', text })

/** Returns a fault if `bad` is a text, and otherwise that something works. */
export const check = (
  good: string,
  bad: string | false | undefined,
  seen: string,
  fix: string | SharedFix,
): Verdict => (bad ? fault(bad, seen, fix) : ok(good))

/** Returns that something is slower than it could be if `slower` is a text, and otherwise that it works. */
export const checkSpeed = (
  good: string,
  slower: string | false | undefined,
  seen: string,
  fix: string,
): Verdict => (slower ? { result: 'slow', text: slower, seen, fix } : ok(good))

/**
 * A table of lines that do not depend on each other: for each name, the function that judges the subject. If it returns
 * `undefined`, the report does not have the line.
 */
export type Rows<Of> = Record<string, (of: Of) => Verdict | undefined | Promise<Verdict | undefined>>

/** Collects the lines. */
export class Report {
  readonly lines: Line[] = []

  /** Adds a line, in place of one with the same name. */
  add(id: string, verdict: Verdict | undefined): void {
    if (!verdict) return
    const place = this.lines.findIndex((line) => line.id === id)
    this.lines.splice(place < 0 ? this.lines.length : place, 1, { id, ...verdict })
  }

  /** Judges each row, and adds its line. */
  async judge<Of>(rows: Rows<Of>, of: Of): Promise<void> {
    for (const [id, row] of Object.entries(rows)) this.add(id, await row(of))
  }

  // Shortcuts for `add` with the verdict of the function of the same name.

  ok(id: string, ...found: Parameters<typeof ok>): void {
    this.add(id, ok(...found))
  }

  fault(id: string, ...found: Parameters<typeof fault>): void {
    this.add(id, fault(...found))
  }

  unseen(id: string, ...found: Parameters<typeof unseen>): void {
    this.add(id, unseen(...found))
  }

  unused(id: string, ...found: Parameters<typeof unused>): void {
    this.add(id, unused(...found))
  }

  check(id: string, ...found: Parameters<typeof check>): void {
    this.add(id, check(...found))
  }

  checkSpeed(id: string, ...found: Parameters<typeof checkSpeed>): void {
    this.add(id, checkSpeed(...found))
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
