import { createAuth } from 'strongroom'

// esbuild does not find the worker. It is an entry of its own, and this is the address of the result.
export const [auth, second] = [0, 1].map((account) =>
  createAuth({
    account,
    shared: (name) =>
      new SharedWorker('/auth.worker.js', {
        type: 'module',
        name,
        extendedLifetime: location.protocol === 'https:',
      }),
    dedicated: (name) => new Worker('/auth.worker.js', { type: 'module', name }),
  }),
)
