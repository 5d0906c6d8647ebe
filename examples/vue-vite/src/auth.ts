import { createAuth } from 'strongroom'

export const auth = createAuth(
  {
    shared: () =>
      new SharedWorker(new URL('./auth.worker.ts', import.meta.url), {
        type: 'module',
        extendedLifetime: location.protocol === 'https:',
      }),
    dedicated: () => new Worker(new URL('./auth.worker.ts', import.meta.url), { type: 'module' }),
  },
  // router.ts imports this file, so this file imports the router when it is needed.
  { onReturn: async (path) => (await import('./router')).router.replace(path) },
)
