import { handlerSuite } from './handler.mjs'
import { standardsSuite } from './standards.mjs'

handlerSuite('node', 'node-redis')
standardsSuite('node', 'node-redis', { passesSockets: false })
