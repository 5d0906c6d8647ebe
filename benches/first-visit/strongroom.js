import { createAuth } from '../../pkg/dist/index.js'
import { visit } from './visit.js'

const auth = createAuth({
  shared: () =>
    new SharedWorker(new URL('./auth.worker.js', import.meta.url), {
      type: 'module',
      // By default a worker ends with its page, so that each visit starts a worker.
      extendedLifetime: location.search.includes('survives'),
    }),
})
visit({ login: () => auth.login(), callback: () => auth.connect(), fetch: auth.fetch })
