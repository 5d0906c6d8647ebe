import { vault } from '../../pkg/dist/worker.js'

// The same app, and its session survives its worker.
vault({ ...CONFIG, session: { persist: 'sealed' } })
