import { suite } from './suite.mjs'

suite('edgeRuntime', { coordinators: ['redis-rest'] })
