import { ACCOUNTS } from '../../../tests/support/accounts.mjs'

const [ALICE, BOB] = ACCOUNTS

export const logoutElsewhere = {
  name: 'logout-elsewhere',
  title: 'a logout in another tab: what this tab shows, and its calls (fewer are better)',
  async run(world) {
    const page = await world.signedIn()
    await world.signOut(await world.open())
    const { user } = await world.watch(page, ALICE.username)
    world.note(user ? 'still signed in' : 'signed out')
    await world.call(page, 3)
  },
}

export const otherUser = {
  name: 'other-user',
  title: 'another user signs in in another tab: whose name this tab shows, and whose data',
  async run(world) {
    const page = await world.signedIn()
    const other = await world.open()
    await world.signOut(other)
    await world.openApp(other)
    await world.signIn(other, BOB)
    const { user } = await world.watch(page, ALICE.username)
    const [{ isOk, user: owner }] = await world.call(page, 1)
    world.note(`name: ${user || 'none'}; data: ${isOk ? owner : 'none'}`)
  },
}
