import { createAuth } from 'strongroom'

export const [auth, second] = [0, 1].map((account) =>
  createAuth({
    account,
    shared: (name) =>
      new SharedWorker('/strongroom/standalone.js', { type: 'module', name, extendedLifetime: true }),
    dedicated: (name) => new Worker('/strongroom/standalone.js', { type: 'module', name }),
  }),
)
