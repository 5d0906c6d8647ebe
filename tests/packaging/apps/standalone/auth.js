import { createAuth } from 'strongroom'

export const auth = createAuth({
  shared: () => new SharedWorker('/strongroom/standalone.js', { type: 'module', extendedLifetime: true }),
  dedicated: () => new Worker('/strongroom/standalone.js', { type: 'module' }),
})
