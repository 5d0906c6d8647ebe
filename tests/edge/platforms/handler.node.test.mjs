import { describe } from 'node:test'
import { handlerSuite } from './handler.mjs'
import { socketsSuite, standardsSuite } from './standards.mjs'

// Each suite has servers of its own, and mostly waits.
describe('node', { concurrency: true }, () => {
  handlerSuite('node', 'node-redis')
  standardsSuite('node', 'node-redis')
  socketsSuite('node', 'node-redis', { passesSockets: false })
})
