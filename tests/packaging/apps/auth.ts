import { createAuth } from 'strongroom'

export const [auth, second] = [0, 1].map((account) =>
  createAuth({
    account,
    shared: (name) =>
      new SharedWorker(new URL('./auth.worker.ts', import.meta.url), {
        type: 'module',
        name,
        extendedLifetime: true,
      }),
    dedicated: (name) => new Worker(new URL('./auth.worker.ts', import.meta.url), { type: 'module', name }),
  }),
)
