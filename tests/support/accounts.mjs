/** The accounts of the demo's provider. The provider's sign-in page shows this list. */
export const ACCOUNTS = [
  {
    username: 'alice',
    password: 'wonderland',
    name: 'Alice Liddell',
    email: 'alice@example.com',
    locale: 'en',
  },
  { username: 'bob', password: 'cratchit', name: 'Bob Cratchit', email: 'bob@example.com', locale: 'en-GB' },
  { username: 'zazie', password: 'metro', name: 'Zazie Lalochère', email: 'zazie@example.com', locale: 'fr' },
]

/** Returns the account with this user name and password, or `undefined` if one of them is wrong. */
export function authenticate(username, password) {
  return ACCOUNTS.find((account) => account.username === username && account.password === password)
}

/** Implements `findAccount` of oidc-provider. The subject is the account's user name, and `more` has further claims. */
export async function findAccount(_ctx, subject, more) {
  const account = ACCOUNTS.find(({ username }) => username === subject)
  if (!account) return undefined
  const { username, name, email, locale } = account
  return {
    accountId: subject,
    claims: async () => ({
      sub: subject,
      name,
      email,
      email_verified: true,
      preferred_username: username,
      locale,
      ...more,
    }),
  }
}
