export const longSleep = {
  name: 'long-sleep',
  title: 'a sleep longer than the lifetimes of all tokens',
  world: { refreshLifetimes: 2 },
  async run(world) {
    const page = await world.signedIn()
    await world.sleep({ lifetimes: 3 })
    await world.call(page, 3)
    return page
  },
}
