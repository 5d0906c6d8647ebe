export const parallelCalls = {
  name: 'parallel-calls',
  title: '20 calls at once after a sleep, with an expired token',
  async run(world) {
    const page = await world.signedIn()
    await world.sleep()
    await world.call(page, 20)
    return page
  },
}
