import { vault } from '../../pkg/dist/worker.js'

// This worker belongs to the same app as auth.worker.js. Its tokens are bound to a key, and its API requires a proof
// for each request.
vault({ ...CONFIG, dpop: true, apis: [{ url: PROVEN_API }] })
