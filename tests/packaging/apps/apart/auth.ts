import { createAuth } from 'strongroom'

// The bundler does not see this worker.
export const [auth, second] = [0, 1].map((account) =>
  createAuth({
    account,
    shared: (name) => new SharedWorker('/auth.worker.js', { type: 'module', name, extendedLifetime: true }),
    dedicated: (name) => new Worker('/auth.worker.js', { type: 'module', name }),
  }),
)
