/** The page of an app that uses an MCP server. */
import { createAuth } from 'strongroom'
import { useTools } from './tools.js'

globalThis.auth = createAuth({ shared: () => new SharedWorker('/auth.worker.js', { type: 'module' }) })
auth.subscribe(() => {})

const stepUp = (error) => error.stepUp?.() ?? Promise.reject(error)

globalThis.callTools = (url) => useTools(url, (...request) => auth.fetch(...request).catch(stepUp))
