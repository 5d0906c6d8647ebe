/** The capabilities that the suite of the engines observes, in the order of the table in docs/browsers.md. */
import { accounts } from './capabilities/accounts.mjs'
import { bodies } from './capabilities/bodies.mjs'
import { callbackPage } from './capabilities/callback_page.mjs'
import { dpop } from './capabilities/dpop.mjs'
import { egress } from './capabilities/egress.mjs'
import { exits } from './capabilities/exits.mjs'
import { fallback } from './capabilities/fallback.mjs'
import { firstVisit } from './capabilities/first_visit.mjs'
import { httpCache } from './capabilities/http_cache.mjs'
import { leaks } from './capabilities/leaks.mjs'
import { live } from './capabilities/live.mjs'
import { logins } from './capabilities/logins.mjs'
import { media } from './capabilities/media.mjs'
import { navigations } from './capabilities/navigations.mjs'
import { refusedWorkers } from './capabilities/refused_workers.mjs'
import { oneFailure } from './capabilities/one_failure.mjs'
import { reloads } from './capabilities/reloads.mjs'
import { serviceWorkers } from './capabilities/service_workers.mjs'
import { signatures } from './capabilities/signatures.mjs'
import { staticPages } from './capabilities/static_pages.mjs'
import { tabs } from './capabilities/tabs.mjs'
import { vaultOrigin } from './capabilities/vault_origin.mjs'

/** @type {import('./suite.mjs').Group[]} */
export const GROUPS = [
  ...logins,
  ...tabs,
  ...accounts,
  ...reloads,
  ...dpop,
  ...bodies,
  ...live,
  ...egress,
  ...exits,
  ...httpCache,
  ...serviceWorkers,
  ...media,
  ...signatures,
  ...leaks,
  ...vaultOrigin,
  ...callbackPage,
  ...navigations,
  ...firstVisit,
  ...fallback,
  ...refusedWorkers,
  ...oneFailure,
  ...staticPages,
]

/** The groups that run in each engine in a run of all kinds of tests. */
export const MAIN = [...logins, ...tabs, ...reloads]

/** The groups with a claim's only test, which then run in Chromium, too. */
export const CLAIMED = [...live, ...serviceWorkers, ...callbackPage]

/** The names of the rows. */
export const ROWS = GROUPS.flatMap(({ capabilities }) => capabilities.map(({ name }) => name))
