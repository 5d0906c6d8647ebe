// The time limit of repeated attempts, also if the device sleeps.
import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { settled } from '../support/fake_page.mjs'
import { load } from '../support/page_module.mjs'

mock.timers.enable({ apis: ['setTimeout', 'setInterval'] })
/** The page's clock in milliseconds. */
let now = 0
mock.method(performance, 'now', () => now)
const { repeat, startLimit } = await load('protocol/repeat.ts', 'page/time-limit.ts')

/** Lets time pass in which timers run. */
async function pass(milliseconds) {
  for (let n = 0; n < milliseconds; n += 250) {
    now += 250
    mock.timers.tick(250)
    await settled()
  }
}

for (const sleeps of [true, false]) {
  test(`attempt of a minute ${sleeps ? 'in which nothing runs is not the last' : 'is the last'}`, async () => {
    let attempts = 0
    let fail
    const attempt = () => {
      attempts++
      return new Promise((_, reject) => (fail = reject))
    }
    let outcome
    repeat(attempt, now + 10_000).catch((error) => (outcome = error.message))
    await pass(1000)
    if (sleeps) now += 60_000
    else await pass(60_000)
    // The connection was lost in the meantime.
    fail(new Error('lost'))
    await settled()
    assert.equal(outcome, sleeps ? undefined : 'lost')
    await pass(1000)
    assert.equal(attempts, sleeps ? 2 : 1)
    // Afterwards the time limit counts as before.
    await pass(10_000)
    fail(new Error('still down'))
    await settled()
    assert.equal(outcome, sleeps ? 'still down' : 'lost')
  })
}

test('attempts of a page whose timers are always late end', async () => {
  let attempts = 0
  let outcome
  const attempt = async () => {
    attempts++
    throw new Error('down')
  }
  repeat(attempt, now + 10_000).catch((error) => (outcome = error.message))
  for (let n = 0; n < 20 && !outcome; n++) {
    now += 60_000
    mock.timers.tick(60_000)
    await settled()
  }
  assert.equal(outcome, 'down')
  assert.ok(attempts < 8, `${attempts}`)
})

test('time limit that is over, or whose timers are always late, ends', async () => {
  for (const milliseconds of [-3_600_000, 10_000]) {
    let hasEnded = false
    startLimit(milliseconds, () => (hasEnded = true))
    for (let n = 0; n < 5; n++) {
      now += 60_000
      mock.timers.tick(60_000)
      await settled()
    }
    assert.ok(hasEnded, `${milliseconds}`)
  }
})

/** Has the browser take the device to be online, or offline. */
function browserSays(t, onLine) {
  const { navigator } = globalThis
  const define = (value) => Object.defineProperty(globalThis, 'navigator', { value, configurable: true })
  define({ onLine })
  t.after(() => define(navigator))
}

for (const onLine of [false, true]) {
  test(`attempts of a device that seems to be ${onLine ? 'online' : 'offline'} are ${onLine ? 'many' : 'three'}`, async (t) => {
    browserSays(t, onLine)
    let attempts = 0
    let outcome
    const attempt = async () => {
      attempts++
      throw new Error('503')
    }
    repeat(attempt, now + 10_000).catch((error) => (outcome = error.message))
    await pass(11_000)
    assert.equal(outcome, '503')
    assert.ok(onLine ? attempts > 3 : attempts === 3, `${attempts}`)
  })
}

test('device that only seems to be offline gets its file after a 503', async (t) => {
  browserSays(t, false)
  const responses = ['503', 'file']
  const attempt = async () => {
    const response = responses.shift()
    if (response === '503') throw new Error(response)
    return response
  }
  let outcome
  repeat(attempt, now + 10_000).then((value) => (outcome = value))
  await pass(2000)
  assert.equal(outcome, 'file')
})
