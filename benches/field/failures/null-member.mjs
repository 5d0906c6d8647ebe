export const nullMember = {
  name: 'null-member',
  title: '`"id_token": null` in the response of a refresh',
  async run(world) {
    const page = await world.signedIn()
    world.faults.add('token', { edit: (tokens) => ({ ...tokens, id_token: null }) })
    await world.sleep()
    await world.call(page, 3)
    return page
  },
}
