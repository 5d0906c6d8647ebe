export const shared = () =>
  new SharedWorker(new URL('./auth.worker.ts', import.meta.url), {
    type: 'module',
    extendedLifetime: location.protocol === 'https:',
  })
export const dedicated = () => new Worker(new URL('./auth.worker.ts', import.meta.url), { type: 'module' })
