// The checks that users run on a coordinator of their own: what is right passes them, and each fault is found.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { inIsolate } from '../../pkg/dist/edge.js'
import { conformance } from '../../pkg/dist/edge/conformance.js'

const memory = () => inIsolate()({})

describe('inIsolate() keeps to what is said of a coordinator', { concurrency: true }, () => {
  const coordinator = memory()
  for (const { name, run } of conformance(() => coordinator)) test(name, run)
})

const tick = () => new Promise((resolve) => setTimeout(resolve, 1))

/** @param {(right: Coordinator) => Partial<Coordinator>} change What is another way in all participants. */
const broken = (change) => () => {
  const right = memory()
  const wrong = { ...right, ...change(right) }
  return () => wrong
}

/** Versions that count the writes of a key, and begin anew when its time was over. */
const counting = (right) => {
  const known = new Map()
  return {
    async read(keys) {
      const entries = await right.read(keys)
      return entries.map((entry) => entry && { ...entry, version: known.get(entry.version) })
    },
    async swap(key, version, value, ttl) {
      const [now] = await right.read([key])
      if ((now && known.get(now.version)) !== (version ?? null)) return null
      const entry = await right.swap(key, now?.version ?? null, value, ttl)
      if (!entry) return null
      known.set(entry.version, `${Number(version ?? 0) + 1}`)
      return { ...entry, version: known.get(entry.version) }
    },
  }
}

/** Reads from a replica, which learns of each write a moment later. */
const behind = (right) => {
  const replica = new Map()
  return {
    read: async (keys) => keys.map((key) => replica.get(key) ?? null),
    async swap(key, ...rest) {
      const entry = await right.swap(key, ...rest)
      if (entry) setTimeout(() => replica.set(key, entry), 5)
      return entry
    },
  }
}

const FAULTS = [
  ['what one wrote is what others read', 'each has a store of its own', () => memory],
  [
    'what one wrote is what others read',
    'values lose their spaces',
    broken((right) => ({ swap: (key, version, value, ttl) => right.swap(key, version, value.trim(), ttl) })),
  ],
  [
    'a key that nobody wrote has no entry',
    'there is an empty entry',
    broken(() => ({ read: async (keys) => keys.map(() => ({ value: '', version: '' })) })),
  ],
  [
    'several keys are read in their order',
    'entries come in the order of their keys',
    broken((right) => ({ read: (keys) => right.read([...keys].sort()) })),
  ],
  [
    'keys that look alike are different keys',
    'case counts for nothing',
    broken((right) => ({
      read: (keys) => right.read(keys.map((key) => key.toLowerCase())),
      swap: (key, ...rest) => right.swap(key.toLowerCase(), ...rest),
    })),
  ],
  [
    'writes only over the version that it is told',
    'whoever writes last wins',
    broken((right) => ({
      async swap(key, _version, value, ttl) {
        const [now] = await right.read([key])
        return right.swap(key, now?.version ?? null, value, ttl)
      },
    })),
  ],
  [
    'no two writes have one version, though they write the same',
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
    'of a hundred writers of a new key exactly one wins',
    'of a hundred writers over one version exactly one wins',
    'no update is lost',
  ].map((check) => [
    check,
    'compares and writes in two steps',
    broken((right) => ({
      async swap(key, version, value, ttl) {
        const before = (await right.read([key]))[0]?.version ?? null
        await tick()
        if (before !== version) return null
        const [now] = await right.read([key])
        return right.swap(key, now?.version ?? null, value, ttl)
      },
    })),
  ]),
  ['what was written is read by whoever asks afterwards', 'reads from a replica', broken(behind)],
  [
    'an entry is there until its time is over, and then is not',
    'entries stay',
    broken((right) => ({ swap: (key, version, value) => right.swap(key, version, value, 3600) })),
  ],
  [
    'an entry is there until its time is over, and then is not',
    'the time is taken for milliseconds',
    broken((right) => ({ swap: (key, version, value, ttl) => right.swap(key, version, value, ttl / 1000) })),
  ],
  [
    'each write begins the time anew',
    'an entry ends when it would have at first',
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
  ['an entry whose time is over can be neither changed nor mistaken', 'versions come back', broken(counting)],
  [
    'waiting for what changed already is over at once',
    'only what changes from now on counts',
    broken((right) => ({
      async wait(key, _version, milliseconds) {
        const [now] = await right.read([key])
        return right.wait(key, now?.version ?? null, Math.min(milliseconds, 5000))
      },
    })),
  ],
  ...[
    'who waits is woken by a change',
    'who waits for a key is woken by its first write',
    'who waits is woken when the time is over',
    'many wait for one key at the same time',
  ].map((check) => [
    check,
    'nobody is woken',
    broken(() => ({
      wait: (_key, _version, most) => new Promise((resolve) => setTimeout(resolve, Math.min(most, 5000))),
    })),
  ]),
  [
    'nobody waits longer than they say',
    'nobody looks at the clock',
    broken((right) => ({ wait: (key, version) => right.wait(key, version, 5000) })),
  ],
]

describe('a control: the checks find', { concurrency: true }, () => {
  for (const [name, what, make] of FAULTS) {
    test(`${what} (${name})`, async () => {
      const check = conformance(make(), { patience: 3000 }).find((check) => check.name === name)
      await assert.rejects(check.run, Error)
    })
  }
})

test('control: each check but one detects a fault', () => {
  const found = new Set(FAULTS.map(([name]) => name))
  const names = conformance(memory).map(({ name }) => name)
  assert.deepEqual(
    names.filter((name) => !found.has(name)),
    ['reading no keys is no error'],
  )
})
