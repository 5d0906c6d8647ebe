import { suite } from './suite.mjs'

suite('deno', { coordinators: ['deno-kv'], others: ['node-redis'] })
