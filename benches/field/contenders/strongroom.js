/** As in README.md, in a deployed app: shared worker, stored session. */
import '/config.js'
import { createAuth } from '../../../pkg/dist/index.js'
import { run } from './page.js'

run(async ({ show, fail }) => {
  const auth = createAuth({
    shared: () => new SharedWorker('/strongroom.worker.js', { type: 'module', extendedLifetime: true }),
    dedicated: () => new Worker('/strongroom.worker.js', { type: 'module' }),
  })
  auth.subscribe(({ status, session, error }) => {
    if (status === 'connecting') return
    show(session?.claims.sub)
    if (error) fail(error)
  })
  await auth.connect()
  return {
    signIn: () => auth.login(),
    logout: () => auth.logout({ provider: true }),
    fetch: auth.fetch,
  }
})
