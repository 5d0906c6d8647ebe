import { createAuth } from 'strongroom'

// esbuild does not find the worker. It is an entry of its own, and this is the address of the result.
export const auth = createAuth({
  shared: () =>
    new SharedWorker('/auth.worker.js', { type: 'module', extendedLifetime: location.protocol === 'https:' }),
  dedicated: () => new Worker('/auth.worker.js', { type: 'module' }),
})
