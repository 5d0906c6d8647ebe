/** Calls before and after a sleep, with a clock that differs from that of provider and API. */
const run = async (world) => {
  const page = await world.open()
  const hasSignedIn = await world.signIn(page).then(
    () => true,
    ({ message }) => world.fails(message),
  )
  if (!hasSignedIn) return world.note('cannot sign in')
  world.count()
  await world.call(page, 3)
  await world.sleep()
  await world.call(page, 3)
  return page
}

export const clockBehind = {
  name: 'clock-behind',
  title: "the user's clock is an hour behind",
  world: { clock: '+1h' },
  run,
}

export const clockAhead = {
  name: 'clock-ahead',
  title: "the user's clock is an hour ahead",
  world: { clock: '-1h' },
  run,
}
