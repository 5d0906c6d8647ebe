import { vault } from '../../pkg/dist/worker.js'

// The worker of the same app as auth.worker.js, with a stored session, which survives the worker.
vault({ ...CONFIG, session: { persist: 'sealed' } })
