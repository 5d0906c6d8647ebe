import { socketsSuite } from './standards.mjs'
import { suite } from './suite.mjs'

suite('workerd', { coordinators: ['durable-object'], others: ['redis-rest', 'in-isolate'] })
socketsSuite('workerd', 'durable-object', { passesSockets: true })
