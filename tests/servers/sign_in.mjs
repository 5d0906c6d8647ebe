import { ACCOUNTS } from '../support/accounts.mjs'

const [{ username, password }] = ACCOUNTS

/** The user of all servers. */
export const USER = { username, password }

/** Fills in a sign-in page that has the usual names. */
export async function fillForm(page) {
  await page.fill('#username', USER.username)
  await page.fill('#password', USER.password)
  await page.click('button')
}
