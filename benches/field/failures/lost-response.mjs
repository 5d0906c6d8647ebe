/** Calls after a sleep. The provider rotates the refresh token, and its response is cut. */
const run = async (world) => {
  const page = await world.signedIn()
  world.faults.add('token', { cutAfter: 1 })
  await world.sleep()
  await world.call(page, 5)
  await world.call(page, 5)
  return page
}

export const lostResponse = {
  name: 'lost-response',
  title: 'the response of a refresh is lost; the provider has no leeway',
  run,
}

export const lostResponseLeeway = {
  name: 'lost-response-leeway',
  title: 'the same with a leeway of 30 seconds',
  world: { leewaySeconds: 30 },
  run,
}
