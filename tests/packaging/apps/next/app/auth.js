import { createAuth } from 'strongroom'

// The comment names the worker's file. Without it, webpack builds two files.
export const auth = createAuth({
  shared: () =>
    new SharedWorker(new URL(/* webpackChunkName: "auth.worker" */ './auth.worker.js', import.meta.url), {
      type: 'module',
      extendedLifetime: true,
    }),
  dedicated: () =>
    new Worker(new URL(/* webpackChunkName: "auth.worker" */ './auth.worker.js', import.meta.url), {
      type: 'module',
    }),
})
