import { suite } from './suite.mjs'

suite('bun', { coordinators: ['bun-redis'] })
