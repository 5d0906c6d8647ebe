import { createAuth } from 'strongroom'

export const auth = createAuth({
  shared: () =>
    new SharedWorker('/strongroom/standalone.js', {
      type: 'module',
      extendedLifetime: location.protocol === 'https:',
    }),
  dedicated: () => new Worker('/strongroom/standalone.js', { type: 'module' }),
})
