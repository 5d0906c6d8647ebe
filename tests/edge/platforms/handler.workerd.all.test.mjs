import { handlerSuite } from './handler.mjs'
import { standardsSuite } from './standards.mjs'

handlerSuite('workerd', 'durable-object')
standardsSuite('workerd', 'durable-object')
