import { createAuth } from 'strongroom'

// The comment names the worker's file. Without it, Rspack builds the worker twice, and chooses a number.
export const auth = createAuth({
  shared: () =>
    new SharedWorker(new URL(/* webpackChunkName: "auth.worker" */ './auth.worker.ts', import.meta.url), {
      type: 'module',
      extendedLifetime: true,
    }),
  dedicated: () =>
    new Worker(new URL(/* webpackChunkName: "auth.worker" */ './auth.worker.ts', import.meta.url), {
      type: 'module',
    }),
})
