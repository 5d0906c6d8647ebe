import { createAuth } from 'strongroom'

// The comment names the worker's file. Without it, webpack builds two files.
export const [auth, second] = [0, 1].map((account) =>
  createAuth({
    account,
    shared: (name) =>
      new SharedWorker(new URL(/* webpackChunkName: "auth.worker" */ './auth.worker.js', import.meta.url), {
        type: 'module',
        name,
        extendedLifetime: true,
      }),
    dedicated: (name) =>
      new Worker(new URL(/* webpackChunkName: "auth.worker" */ './auth.worker.js', import.meta.url), {
        type: 'module',
        name,
      }),
  }),
)
