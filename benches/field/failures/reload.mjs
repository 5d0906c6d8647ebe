export const reload = {
  name: 'reload',
  title: 'a reload while the response of a refresh is on its way',
  async run(world) {
    const page = await world.signedIn()
    let deliver
    world.faults.add('token', { when: 'after', hold: new Promise((resolve) => (deliver = resolve)) })
    const isRefreshing = world.faults.taken()
    await world.sleep()
    await page.evaluate(() => void field.call())
    await isRefreshing
    await world.reload(page, { meanwhile: deliver })
    await world.call(page, 3)
    return page
  },
}
