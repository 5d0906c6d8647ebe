import { setTimeout as pause } from 'node:timers/promises'

/** The time in milliseconds from the first refused refresh until the token endpoint works again. */
const OUTAGE = 10_000

/** Calls while the token endpoint gives this answer, and afterwards. */
const during = (answer) => async (world) => {
  const page = await world.signedIn()
  world.faults.add('token', { times: Infinity, answer })
  const isDown = world.faults.taken()
  await world.sleep()
  const calls = world.call(page, 5)
  await Promise.race([isDown, calls])
  await pause(OUTAGE)
  world.faults.clear()
  await calls
  await world.call(page, 5)
  return page
}

export const unavailable = {
  name: 'unavailable',
  title: 'a 503 at the token endpoint for ten seconds',
  run: during({ status: 503, body: 'Service Unavailable' }),
}

export const captivePortal = {
  name: 'captive-portal',
  title: 'a captive portal for ten seconds: its page (200, HTML) instead of tokens',
  run: during({ status: 200, body: '<!doctype html><title>Welcome to our hotel</title>' }),
}
