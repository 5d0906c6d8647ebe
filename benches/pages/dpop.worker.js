import { vault } from '../../pkg/dist/worker.js'

// The worker of the same app as auth.worker.js, with tokens bound to a key and an API that requires a proof for each
// request.
vault({ ...CONFIG, dpop: true, apis: [{ url: PROVEN_API }] })
