import { vault } from '../../pkg/dist/worker.js'

// This worker belongs to the same app as auth.worker.js. It stores the session, so the session survives the worker.
vault({ ...CONFIG, session: { persist: 'sealed' } })
