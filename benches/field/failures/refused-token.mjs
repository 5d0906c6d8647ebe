export const refusedToken = {
  name: 'refused-token',
  title: 'the API refuses a token that has not expired (401)',
  world: { lifetime: 600 },
  async run(world) {
    const page = await world.signedIn()
    world.refuseToken()
    await world.call(page, 3)
    return page
  },
}
