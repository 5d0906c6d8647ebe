import { handlerSuite } from './handler.mjs'
import { socketsSuite, standardsSuite } from './standards.mjs'

handlerSuite('node', 'node-redis')
standardsSuite('node', 'node-redis')
socketsSuite('node', 'node-redis', { passesSockets: false })
