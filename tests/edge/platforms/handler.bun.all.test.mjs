import { handlerSuite } from './handler.mjs'

handlerSuite('bun', 'bun-redis')
