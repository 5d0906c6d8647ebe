import { createAuth } from 'strongroom'

// The bundler does not see this worker.
export const auth = createAuth({
  shared: () => new SharedWorker('/auth.worker.js', { type: 'module', extendedLifetime: true }),
  dedicated: () => new Worker('/auth.worker.js', { type: 'module' }),
})
