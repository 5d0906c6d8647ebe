import { suite } from './suite.mjs'

suite('deno', { coordinators: ['deno-kv', 'node-redis'] })
