import { ACCOUNTS } from '../../../tests/support/accounts.mjs'

const [ALICE] = ACCOUNTS

export const backToSignIn = {
  name: 'back-to-sign-in',
  title: 'Back from the sign-in page (back-forward cache), and again "Sign in"',
  world: { hasCache: true },
  async run(world) {
    const page = await world.open()
    await world.mark(page)
    await world.leaveToSignIn(page)
    if (!(await world.goBack(page))) world.note('loaded again')
    try {
      await world.signIn(page)
      world.note('signs in')
    } catch {
      world.note('the button does nothing')
    }
  },
}

export const backAfterLogout = {
  name: 'back-after-logout',
  title: 'Back after a logout (back-forward cache): what the page shows, and its calls (fewer are better)',
  world: { hasCache: true },
  async run(world) {
    const page = await world.signedIn()
    await world.mark(page)
    await world.signOut(page)
    if (!(await world.goBack(page))) world.note('loaded again')
    const { user } = await world.watch(page, ALICE.username)
    world.note(user ? 'still signed in' : 'signed out')
    await world.call(page, 3)
  },
}
