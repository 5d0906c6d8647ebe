import { createAuth } from 'strongroom'

// The comment names the worker's file. Without it, Rspack builds the worker twice, and chooses a number.
export const [auth, second] = [0, 1].map((account) =>
  createAuth({
    account,
    shared: (name) =>
      new SharedWorker(new URL(/* webpackChunkName: "auth.worker" */ './auth.worker.ts', import.meta.url), {
        type: 'module',
        name,
        extendedLifetime: true,
      }),
    dedicated: (name) =>
      new Worker(new URL(/* webpackChunkName: "auth.worker" */ './auth.worker.ts', import.meta.url), {
        type: 'module',
        name,
      }),
  }),
)
