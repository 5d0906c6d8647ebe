import { handlerSuite } from './handler.mjs'

handlerSuite('edgeRuntime', 'redis-rest')
