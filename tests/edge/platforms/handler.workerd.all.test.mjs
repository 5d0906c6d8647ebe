import { describe } from 'node:test'
import { handlerSuite } from './handler.mjs'
import { standardsSuite } from './standards.mjs'

// Each suite has servers of its own, and mostly waits.
describe('workerd', { concurrency: true }, () => {
  handlerSuite('workerd', 'durable-object')
  standardsSuite('workerd', 'durable-object')
})
