import { vault } from '../../pkg/dist/worker.js'

// The same app, with a session that survives its worker.
vault({ ...CONFIG, session: { persist: 'sealed' } })
