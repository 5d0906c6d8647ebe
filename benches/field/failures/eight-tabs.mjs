export const eightTabs = {
  name: 'eight-tabs',
  title: 'eight tabs, five calls each, after a sleep',
  async run(world) {
    const page = await world.signedIn()
    const pages = [page]
    while (pages.length < 8) pages.push(await world.open())
    await world.sleep()
    await Promise.all(pages.map((each) => world.call(each, 5)))
    return page
  },
}
