import { vault } from '../../pkg/dist/worker.js'

// The same app, whose tokens are bound to a key, at an API that wants each request proven.
vault({ ...CONFIG, dpop: true, apis: [{ url: PROVEN_API }] })
