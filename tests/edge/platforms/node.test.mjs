import { suite } from './suite.mjs'

suite('node', { coordinators: ['node-redis'], others: ['ioredis'] })
