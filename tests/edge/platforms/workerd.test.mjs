import { suite } from './suite.mjs'

suite('workerd', { coordinators: ['durable-object', 'redis-rest', 'in-isolate'] })
