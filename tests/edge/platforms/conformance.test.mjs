// Tests of the conformance checks for coordinators. A correct coordinator passes all checks. Each check detects a faulty
// coordinator.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { inIsolate } from '../../../pkg/dist/edge.js'
import { conformance } from '../../../pkg/dist/edge/conformance.js'

const memory = () => inIsolate()({})

test('late expiry leaves out only the checks that wait for it', () => {
  const names = (options) => conformance(memory, options).map(({ name }) => name)
  const late = names({ expiresLate: true })
  assert.deepEqual(
    names().filter((name) => !late.includes(name)),
    [
      'an entry expires',
      'each write renews the time to live',
      'an expired version cannot be replaced and does not return',
      'wait returns when the entry expires',
    ],
  )
})

test('coordinator that returns an array gets a hint', async () => {
  const old = { ...memory(), read: async (keys) => keys.map(() => null) }
  const [check] = conformance(() => old)
  await assert.rejects(check.run, { message: 'read() returned an array: return { entries: <this array> }' })
})

const readOne = async (coordinator, key) => (await coordinator.read([key])).entries[0]

const tick = () => new Promise((resolve) => setTimeout(resolve, 1))

/**
 * @param {(right: Coordinator) => Partial<Coordinator>} change Returns the methods that replace those of the correct
 * coordinator.
 */
const broken = (change) => () => {
  const right = memory()
  const wrong = { ...right, ...change(right) }
  return () => wrong
}

/** Returns methods that use the number of writes as the version. The number starts again after a key has expired. */
const counting = (right) => {
  const known = new Map()
  return {
    async read(keys) {
      const { entries } = await right.read(keys)
      return { entries: entries.map((entry) => entry && { ...entry, version: known.get(entry.version) }) }
    },
    async swap(key, version, value, ttl) {
      const now = await readOne(right, key)
      if ((now && known.get(now.version)) !== (version ?? null)) return null
      const entry = await right.swap(key, now?.version ?? null, value, ttl)
      if (!entry) return null
      known.set(entry.version, `${Number(version ?? 0) + 1}`)
      return { ...entry, version: known.get(entry.version) }
    },
  }
}

/** Returns methods that read from a replica, which gets each write a moment later. */
const behind = (right) => {
  const replica = new Map()
  return {
    read: async (keys) => ({ entries: keys.map((key) => replica.get(key) ?? null) }),
    async swap(key, ...rest) {
      const entry = await right.swap(key, ...rest)
      if (entry) setTimeout(() => replica.set(key, entry), 5)
      return entry
    },
  }
}

/** Returns a method that changes each reading. */
const reading = (change) =>
  broken((right) => ({ read: async (keys) => change(await right.read(keys), keys.length) }))

/** Returns a coordinator with the time of a clock that is ahead. */
const ahead = (right, milliseconds) => ({
  ...right,
  async read(keys) {
    const { entries, time } = await right.read(keys)
    return { entries, time: time + milliseconds }
  },
})

const HOUR = 3_600_000

/** A participant whose clock is ahead, for coordinators that use the clock of the process. */
const FAULTS_AHEAD = [
  [
    'the time is the same for a clock that is ahead',
    'the time is that of the process',
    (right) => ahead(right, HOUR),
  ],
  [
    'an entry does not expire early for a clock that is ahead',
    'the process compares the end of an entry with its clock',
    (right) => ({ ...right, read: async (keys) => ({ entries: keys.map(() => null) }) }),
  ],
  [
    'an entry does not expire early for a clock that is ahead',
    'the process replaces a live entry',
    (right) => ({
      ...right,
      swap: async (key, _version, ...rest) =>
        right.swap(key, (await readOne(right, key))?.version ?? null, ...rest),
    }),
  ],
]

const FAULTS = [
  [
    'append() keeps the lines of all calls at the same moment',
    'appends by a read and a write',
    broken((right) => ({
      async append(key, line, most, ttl) {
        const held = await readOne(right, key)
        await tick()
        await right.swap(key, (await readOne(right, key))?.version ?? null, `${held?.value}\n${line}`, ttl)
      },
    })),
  ],
  [
    'append() keeps the last lines, and changes the version',
    'keeps all lines',
    broken((right) => ({ append: (key, line, _most, ttl) => right.append(key, line, 99, ttl) })),
  ],
  [
    'reading no keys returns no entries',
    'the entry of the clock is returned',
    reading(({ entries, time }, count) => ({ entries: count ? entries : [null], time })),
  ],
  [
    'each read returns the time, or none does',
    'a read without entries has no time',
    reading(({ entries, time }, count) => (count ? { entries, time } : { entries })),
  ],
  [
    'the time is one clock, in milliseconds',
    'the time is in seconds',
    reading(({ entries, time }) => ({ entries, time: time / 1000 })),
  ],
  [
    'the time is one clock, in milliseconds',
    'the clock is stopped',
    reading(({ entries }) => ({ entries, time: 1_800_000_000_000 })),
  ],
  [
    'the time is one clock, in milliseconds',
    'each participant has a clock',
    () => {
      const coordinator = memory()
      let count = 0
      return () => ahead(coordinator, 10_000 * (count++ % 2))
    },
  ],
  ['all participants share the entries', 'each participant has its own store', () => memory],
  [
    'all participants share the entries',
    'values are trimmed',
    broken((right) => ({ swap: (key, version, value, ttl) => right.swap(key, version, value.trim(), ttl) })),
  ],
  [
    'a new key has no entry',
    'missing keys have an empty entry',
    broken(() => ({ read: async (keys) => ({ entries: keys.map(() => ({ value: '', version: '' })) }) })),
  ],
  [
    'entries are returned in the order of the keys',
    'entries are sorted by key',
    broken((right) => ({ read: (keys) => right.read([...keys].sort()) })),
  ],
  [
    'similar keys are distinct',
    'keys are case-insensitive',
    broken((right) => ({
      read: (keys) => right.read(keys.map((key) => key.toLowerCase())),
      swap: (key, ...rest) => right.swap(key.toLowerCase(), ...rest),
    })),
  ],
  [
    'swap writes only over the given version',
    'the last writer wins',
    broken((right) => ({
      async swap(key, _version, value, ttl) {
        const now = await readOne(right, key)
        return right.swap(key, now?.version ?? null, value, ttl)
      },
    })),
  ],
  [
    'each write has another version, even of the same value',
    'the version is the value',
    broken((right) => ({
      async swap(...args) {
        const entry = await right.swap(...args)
        return entry && { ...entry, version: entry.value }
      },
      read: right.read,
    })),
  ],
  ...[
    'exactly one of a hundred writers creates a key',
    'exactly one of a hundred writers replaces a version',
    'no update is lost',
  ].map((check) => [
    check,
    'compares and writes in two steps',
    broken((right) => ({
      async swap(key, version, value, ttl) {
        const before = (await readOne(right, key))?.version ?? null
        await tick()
        if (before !== version) return null
        const now = await readOne(right, key)
        return right.swap(key, now?.version ?? null, value, ttl)
      },
    })),
  ]),
  ['a completed write is visible to all later reads', 'reads from a replica', broken(behind)],
  [
    'an entry expires',
    'entries do not expire',
    broken((right) => ({ swap: (key, version, value) => right.swap(key, version, value, 3600) })),
  ],
  [
    'an entry does not expire early',
    'the time to live is in milliseconds',
    broken((right) => ({ swap: (key, version, value, ttl) => right.swap(key, version, value, ttl / 1000) })),
  ],
  [
    'each write renews the time to live',
    'a write does not renew the time to live',
    broken((right) => {
      const ends = new Map()
      return {
        swap(key, version, value, ttl) {
          if (version === null) ends.set(key, Date.now() + ttl * 1000)
          return right.swap(key, version, value, (ends.get(key) - Date.now()) / 1000)
        },
      }
    }),
  ],
  ['an expired version cannot be replaced and does not return', 'versions are used again', broken(counting)],
  [
    'wait returns at once if the version has changed',
    'only changes after the call count',
    broken((right) => ({
      async wait(key, _version, milliseconds) {
        const now = await readOne(right, key)
        return right.wait(key, now?.version ?? null, Math.min(milliseconds, 5000))
      },
    })),
  ],
  ...[
    'wait returns when the entry changes',
    'wait for a new key returns at its first write',
    'wait returns when the entry expires',
    'many calls can wait for one key',
  ].map((check) => [
    check,
    'changes do not end a wait',
    broken(() => ({
      wait: (_key, _version, most) => new Promise((resolve) => setTimeout(resolve, Math.min(most, 5000))),
    })),
  ]),
  [
    'wait returns after the given time',
    'the given time is ignored',
    broken((right) => ({ wait: (key, version) => right.wait(key, version, 5000) })),
  ],
]

// Both groups wait for entries that expire.
describe('the checks', { concurrency: true }, () => {
  describe('inIsolate() passes the conformance checks', { concurrency: true }, () => {
    const coordinator = memory()
    for (const { name, run } of conformance(() => coordinator, { makeAhead: () => coordinator }))
      // claim: handler-79
      test(name, run)
  })

  describe('control: the checks detect', { concurrency: true }, () => {
    for (const [name, what, make] of FAULTS) {
      test(`${what} (${name})`, async () => {
        const check = conformance(make(), { timeout: 3000 }).find((check) => check.name === name)
        await assert.rejects(check.run, Error)
      })
    }
    for (const [name, what, change] of FAULTS_AHEAD) {
      test(`${what} (${name})`, async () => {
        const right = memory()
        const makeAhead = () => change(right)
        const checks = conformance(() => right, { makeAhead })
        const check = checks.find((check) => check.name === name)
        await assert.rejects(check.run, Error)
      })
    }
  })
})

test('control: each check detects a fault', () => {
  const found = new Set([...FAULTS, ...FAULTS_AHEAD].map(([name]) => name))
  const names = conformance(memory, { makeAhead: memory }).map(({ name }) => name)
  assert.deepEqual(
    names.filter((name) => !found.has(name)),
    [],
  )
})
