/**
 * A conformance test suite for implementations of {@link Coordinator}, for any test runner.
 *
 * ```ts
 * import { conformance } from 'strongroom/edge/conformance'
 * for (const check of conformance(() => myCoordinator(env))) test(check.name, check.run)
 * ```
 *
 * @module
 */
import { LONGEST_VALUE } from '../../../glue/constants.js'
import { type Coordinator, type Entry, faultOfReading, type Reading } from './coordinator.js'

export type { Coordinator, CoordinatorSource, Entry, Reading } from './coordinator.js'

/** One requirement for a coordinator. */
export interface Check {
  /** The requirement, as a sentence. */
  readonly name: string
  /** Rejects with an `Error` that describes the observed behavior. */
  readonly run: () => Promise<void>
}

/** Options of the checks. */
export interface ConformanceOptions {
  /**
   * Milliseconds for which a check waits for an expected event, such as the end of a time to live or the return of a
   * waiting call. Default 15,000.
   */
  timeout?: number
  /**
   * True for a store that deletes expired entries only some time later, as Deno KV does. The checks that wait for the end
   * of an entry are then left out.
   */
  expiresLate?: boolean
  /**
   * Creates the coordinator of a participant whose clock is an hour ahead, for example in a process under `faketime`. With
   * this option, checks show that neither the end of an entry nor the time comes from the clock of a participant.
   */
  makeAhead?: () => Coordinator | Promise<Coordinator>
}

/**
 * Returns the checks, in an order that finds faults early. Checks may run in parallel, and on a store with other
 * entries: each check creates its own keys, whose entries expire at the latest a minute after their last write.
 *
 * @param make Creates the coordinator of a participant. All participants must share one store. Give each participant
 * its own connection, process or isolate if possible. `make` is called some fifty times, nothing is closed, and one check
 * makes a hundred calls at once: for a database with few connections, return the coordinators of four pools in turn.
 */
export function conformance(
  make: () => Coordinator | Promise<Coordinator>,
  { timeout = 15_000, expiresLate = false, makeAhead }: ConformanceOptions = {},
): readonly Check[] {
  const together = async (count: number) => Promise.all(Array.from({ length: count }, () => make()))
  const withTimeLimit = <T>(promise: Promise<T>, what: string): Promise<T> => {
    let timer: ReturnType<typeof setTimeout>
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`${what} within ${timeout} ms`)), timeout)
    })
    return Promise.race([promise, late]).finally(() => clearTimeout(timer))
  }
  /** Waits until the key has no entry. */
  const untilGone = async (coordinator: Coordinator, key: string) => {
    const end = performance.now() + timeout
    while (await readOne(coordinator, key)) {
      if (performance.now() > end) throw new Error(`an entry of one second still exists after ${timeout} ms`)
      await pause(50)
    }
  }

  const checks: Record<string, () => Promise<void>> = {
    'a new key has no entry': async () => {
      const [coordinator] = await together(1)
      same(await readOne(coordinator!, newKey()), null, 'the entry of a new key')
    },

    'reading no keys returns no entries': async () => {
      const [coordinator] = await together(1)
      same((await readAll(coordinator!, [])).entries, [], 'the entries of read([])')
    },

    'each read returns the time, or none does': async () => {
      const [one, other] = await together(2)
      const key = newKey()
      must(await one!.swap(key, null, 'x', MINUTE))
      const readings = [await readAll(one!, [])]
      for (const keys of [[key], [newKey()], [key, newKey()], []]) readings.push(await readAll(other!, keys))
      const kinds = new Set(readings.map(({ time }) => typeof time))
      same(kinds.size, 1, 'the number of different types of `time`')
    },

    'the time is one clock, in milliseconds': async () => {
      const all = await together(4)
      const start = performance.now()
      const { time: first } = await readAll(all[0]!, [])
      if (first === undefined) return
      if (first < 1e12)
        throw new Error(`\`time\` is ${first}, which is not in milliseconds since the Unix epoch`)
      let last = first
      for (let index = 0; performance.now() - start < 1.5 * CLOCK_TOLERANCE; index++) {
        const { time } = await readAll(all[index % 4]!, index % 3 ? [newKey()] : [])
        if (time! < last - CLOCK_TOLERANCE) throw new Error(`\`time\` went back from ${last} to ${time}`)
        last = time!
        await pause(50)
      }
      const [told, passed] = [last - first, performance.now() - start]
      if (Math.abs(told - passed) > CLOCK_TOLERANCE)
        throw new Error(`\`time\` advanced by ${told} ms in ${passed} ms`)
    },

    'all participants share the entries': async () => {
      const [writer, reader] = await together(2)
      for (const value of VALUES) {
        const key = newKey()
        const written = await writer!.swap(key, null, value, MINUTE)
        const found = await readOne(reader!, key)
        same(written?.value, value, 'the value that swap() returned')
        same(found?.value, value, 'the value that another participant read')
        same(found?.version, written?.version, 'the version that another participant read')
      }
    },

    'entries are returned in the order of the keys': async () => {
      const [writer, reader] = await together(2)
      const keys = Array.from({ length: 12 }, newKey)
      const written = keys.filter((_key, index) => index % 3 !== 1)
      await Promise.all(written.map((key) => writer!.swap(key, null, `of ${key}`, MINUTE)))
      const asked = [...keys.reverse(), keys[0]!]
      const { entries } = await readAll(reader!, asked)
      same(
        entries.map((entry) => entry?.value ?? null),
        asked.map((key) => (written.includes(key) ? `of ${key}` : null)),
        'the values of several keys',
      )
    },

    'append() keeps the lines of all calls at the same moment': async () => {
      const all = await together(20)
      if (!all[0]!.append) return
      const key = newKey()
      const lines = all.map((_coordinator, index) => `line.${index}`)
      await Promise.all(all.map((coordinator, index) => coordinator.append!(key, lines[index]!, 50, MINUTE)))
      const found = await readOne(all[0]!, key)
      same(found?.value.split('\n').sort(), lines.sort(), 'the lines of calls at the same moment')
    },

    'append() keeps the last lines, and changes the version': async () => {
      const [coordinator] = await together(1)
      if (!coordinator!.append) return
      const key = newKey()
      const versions = new Set<string | undefined>()
      for (const line of ['a', 'b', 'c', 'd']) {
        await coordinator!.append(key, line, 3, MINUTE)
        versions.add((await readOne(coordinator!, key))?.version)
      }
      const found = await readOne(coordinator!, key)
      same(found?.value, 'b\nc\nd', 'the last three lines of four')
      same(versions.size, 4, 'the number of versions after four calls of append()')
      const swapped = await coordinator!.swap(key, found!.version, 'x', MINUTE)
      same(swapped?.value, 'x', 'the value that swap() returned after append()')
      await coordinator!.append(key, 'y', 1, MINUTE)
      same((await readOne(coordinator!, key))?.value, 'y', 'the only line that stays')
    },

    'similar keys are distinct': async () => {
      const [coordinator] = await together(1)
      const base = newKey()
      const keys = ['', ':', '/', '.', ' ', '%', '*', ':a', '/a', '%3Aa', 'A', 'a', 'ä'].map(
        (end) => base + end,
      )
      for (const key of keys) {
        if (!(await coordinator!.swap(key, null, key, MINUTE))) {
          throw new Error(`${JSON.stringify(key)} existed before it was written`)
        }
      }
      const { entries } = await readAll(coordinator!, keys)
      same(
        entries.map((entry) => entry?.value),
        keys,
        'the values',
      )
    },

    'swap writes only over the given version': async () => {
      const [one, other] = await together(2)
      const key = newKey()
      const elsewhere = must(await one!.swap(newKey(), null, 'x', MINUTE))
      same(
        await one!.swap(key, elsewhere.version, 'x', MINUTE),
        null,
        'swap() with a version for a key without an entry',
      )
      same(await readOne(one!, key), null, 'the entry of this key afterwards')
      const first = must(await one!.swap(key, null, 'first', MINUTE))
      same(await other!.swap(key, null, 'x', MINUTE), null, 'swap() without a version for an existing key')
      const second = must(await other!.swap(key, first.version, 'second', MINUTE))
      same(await one!.swap(key, first.version, 'x', MINUTE), null, 'swap() with an outdated version')
      same(await readOne(one!, key), second, 'the entry afterwards')
    },

    'each write has another version, even of the same value': async () => {
      const [coordinator] = await together(1)
      const key = newKey()
      const versions = new Set<string>()
      let last: Entry | null = null
      for (let index = 0; index < 20; index++) {
        last = must(await coordinator!.swap(key, last?.version ?? null, 'the same', MINUTE))
        versions.add(last.version)
      }
      same(versions.size, 20, 'the number of versions of 20 writes')
    },

    'exactly one of a hundred writers creates a key': async () => {
      await contest(await together(4), newKey(), null)
    },

    'exactly one of a hundred writers replaces a version': async () => {
      const all = await together(4)
      const key = newKey()
      const { version } = must(await all[0]!.swap(key, null, 'before', MINUTE))
      await contest(all, key, version)
    },

    'no update is lost': async () => {
      const [writers, each] = [8, 5]
      const all = await together(writers)
      const key = newKey()
      const add = async (coordinator: Coordinator) => {
        for (;;) {
          const entry = await readOne(coordinator, key)
          const sum = `${Number(entry?.value ?? 0) + 1}`
          if (await coordinator.swap(key, entry?.version ?? null, sum, MINUTE)) return
        }
      }
      const work = all.map(async (coordinator) => {
        for (let index = 0; index < each; index++) await add(coordinator)
      })
      await withTimeLimit(Promise.all(work), `${writers * each} additions should complete`)
      same((await readOne(all[0]!, key))?.value, `${writers * each}`, 'the sum')
    },

    'a completed write is visible to all later reads': async () => {
      const [writer, reader] = await together(2)
      const key = newKey()
      let last: Entry | null = null
      for (let index = 0; index < 30; index++) {
        last = must(await writer!.swap(key, last?.version ?? null, `${index}`, MINUTE))
        same(await readOne(reader!, key), last, 'the entry, read after swap() had returned')
      }
    },

    'an entry does not expire early': async () => {
      const [writer, reader] = await together(2)
      const key = newKey()
      const start = performance.now()
      must(await writer!.swap(key, null, 'x', 1))
      for (;;) {
        const found = await readOne(reader!, key)
        if (performance.now() - start >= 1000) return
        if (!found) throw new Error('an entry of one second expired earlier')
        await pause(20)
      }
    },

    'an entry expires': async () => {
      const [writer, reader] = await together(2)
      const key = newKey()
      must(await writer!.swap(key, null, 'x', 1))
      await untilGone(reader!, key)
    },

    'each write renews the time to live': async () => {
      const [writer, reader] = await together(2)
      for (;;) {
        const [key, other, start] = [newKey(), newKey(), performance.now()]
        const { version } = must(await writer!.swap(key, null, 'x', 2))
        const renewed = await writer!.swap(key, version, 'y', MINUTE)
        // The second write came after the first entry had expired. This is not a fault of the coordinator, so the check
        // starts again.
        if (!renewed && performance.now() - start >= 2000) continue
        // The entry of `other` is written after the first entry of `key`, with the same time to live. Once the entry of
        // `other` is gone, the entry of `key` would be gone too, unless the second write renewed the time to live of
        // `key`.
        must(await writer!.swap(other, null, 'x', 2))
        await untilGone(reader!, other)
        return same(
          await readOne(reader!, key),
          must(renewed),
          'the entry that was written again for a minute',
        )
      }
    },

    'an expired version cannot be replaced and does not return': async () => {
      const [writer, other] = await together(2)
      const key = newKey()
      const first = must(await writer!.swap(key, null, 'x', 1))
      await untilGone(other!, key)
      same(
        await writer!.swap(key, first.version, 'y', MINUTE),
        null,
        'swap() with the version of an expired entry',
      )
      const second = must(await other!.swap(key, null, 'x', MINUTE))
      if (second.version === first.version) throw new Error('a new entry has the version of an expired one')
      same(
        await writer!.swap(key, first.version, 'y', MINUTE),
        null,
        'swap() with the version of the expired entry',
      )
    },

    'wait returns at once if the version has changed': async () => {
      const [writer, waiter] = await together(2)
      const key = newKey()
      const first = must(await writer!.swap(key, null, 'x', MINUTE))
      await withTimeLimit(waiter!.wait(key, null, HOUR), 'wait() for an existing key should return')
      must(await writer!.swap(key, first.version, 'y', MINUTE))
      await withTimeLimit(
        waiter!.wait(key, first.version, HOUR),
        'wait() for an outdated version should return',
      )
    },

    'wait returns when the entry changes': async () => {
      const [writer, ...waiters] = await together(4)
      const key = newKey()
      const first = must(await writer!.swap(key, null, 'x', MINUTE))
      const waiting = waiters.map((waiter) => waiter.wait(key, first.version, HOUR))
      // All waiters must be waiting before the change.
      await pause(100)
      must(await writer!.swap(key, first.version, 'y', MINUTE))
      await withTimeLimit(Promise.all(waiting), 'wait() should return when the entry changes')
    },

    'wait for a new key returns at its first write': async () => {
      const [writer, waiter] = await together(2)
      const key = newKey()
      const waiting = waiter!.wait(key, null, HOUR)
      await pause(100)
      must(await writer!.swap(key, null, 'x', MINUTE))
      await withTimeLimit(waiting, 'wait() should return when the key is written')
    },

    'wait returns when the entry expires': async () => {
      const [writer, waiter] = await together(2)
      const key = newKey()
      const { version } = must(await writer!.swap(key, null, 'x', 1))
      await withTimeLimit(waiter!.wait(key, version, HOUR), 'wait() should return when the entry expires')
    },

    'wait returns after the given time': async () => {
      const [writer, waiter] = await together(2)
      const key = newKey()
      const { version } = must(await writer!.swap(key, null, 'x', MINUTE))
      const waits = [
        waiter!.wait(key, version, 200),
        waiter!.wait(newKey(), null, 200),
        waiter!.wait(key, version, 0),
      ]
      await withTimeLimit(Promise.all(waits), 'wait() of 200 ms should return')
    },

    'many calls can wait for one key': async () => {
      const all = await together(4)
      const key = newKey()
      const { version } = must(await all[0]!.swap(key, null, 'x', MINUTE))
      const waiting = Array.from({ length: 60 }, (_none, index) => all[index % 4]!.wait(key, version, HOUR))
      must(await all[0]!.swap(key, version, 'y', MINUTE))
      await withTimeLimit(Promise.all(waiting), '60 calls of wait() should return when the entry changes')
    },
  }
  const ahead: Record<string, () => Promise<void>> = {
    'an entry does not expire early for a clock that is ahead': async () => {
      const [writer] = await together(1)
      const reader = await makeAhead!()
      const key = newKey()
      const first = must(await writer!.swap(key, null, 'x', MINUTE))
      same(
        await readOne(reader, key),
        first,
        'the entry that a participant read whose clock is an hour ahead',
      )
      same(await reader.swap(key, null, 'y', MINUTE), null, 'swap() without a version by this participant')
      const second = must(await reader.swap(key, first.version, 'y', MINUTE))
      same(await readOne(writer!, key), second, 'the entry that this participant wrote')
    },

    'the time is the same for a clock that is ahead': async () => {
      const [one] = await together(1)
      const other = await makeAhead!()
      const { time: first } = await readAll(one!, [])
      const { time: second } = await readAll(other, [])
      if (first !== undefined && !(Math.abs(second! - first) < CLOCK_TOLERANCE))
        throw new Error(
          `\`time\` is ${second} for a participant whose clock is an hour ahead, and not ${first}`,
        )
    },
  }
  const all = Object.entries({ ...checks, ...(makeAhead && ahead) }).map(([name, run]) => ({ name, run }))
  return all.filter(({ name }) => !expiresLate || !ENDS.includes(name))
}

/** The checks that wait for the end of an entry. */
const ENDS = [
  'an entry expires',
  'each write renews the time to live',
  'an expired version cannot be replaced and does not return',
  'wait returns when the entry expires',
]

/** Milliseconds by which the time of a store with several machines may be inexact. */
const CLOCK_TOLERANCE = 2000

/** A minute in seconds, the time to live of entries. */
const MINUTE = 60
/** Milliseconds. */
const HOUR = 3_600_000

/** Values with the characters of sealed values, and others. The check shows that the store does not change them. */
const VALUES = [
  'A',
  'eyJ0-_.~',
  ' with spaces\r\nand lines ',
  'null',
  '"{}',
  'ünïcødé ✓ 🂡',
  'x'.repeat(LONGEST_VALUE),
]

const newKey = (): string => `conformance-${crypto.randomUUID()}`

const pause = (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds))

async function readAll(coordinator: Coordinator, keys: readonly string[]): Promise<Reading> {
  const reading = await coordinator.read(keys)
  const fault = faultOfReading(reading, keys.length)
  if (fault) throw new Error(fault)
  return reading
}

async function readOne(coordinator: Coordinator, key: string): Promise<Entry | null> {
  const [entry] = (await readAll(coordinator, [key])).entries
  return entry ? { value: entry.value, version: entry.version } : null
}

/**
 * Makes a hundred parallel calls of `swap()`. Exactly one call may write, and the entry afterwards must be the entry of
 * this call.
 */
async function contest(all: readonly Coordinator[], key: string, version: string | null): Promise<void> {
  const calls = Array.from({ length: 100 }, (_none, index) =>
    all[index % all.length]!.swap(key, version, `of ${index}`, MINUTE),
  )
  const winners = (await Promise.all(calls)).filter((entry) => entry !== null)
  same(winners.length, 1, 'the number of successful writers')
  same(await readOne(all[0]!, key), { value: winners[0]!.value, version: winners[0]!.version }, 'the entry')
}

function must(entry: Entry | null): Entry {
  if (!entry) throw new Error('swap() with the current version should write, but returned null')
  return { value: entry.value, version: entry.version }
}

function same(found: unknown, expected: unknown, what: string): void {
  const [is, shouldBe] = [found, expected].map((value) => JSON.stringify(value) ?? 'undefined')
  if (is !== shouldBe) throw new Error(`${what} should be ${short(shouldBe!)}, but is ${short(is!)}`)
}

const short = (text: string) =>
  text.length > 120 ? `${text.slice(0, 120)}… (${text.length} characters)` : text
