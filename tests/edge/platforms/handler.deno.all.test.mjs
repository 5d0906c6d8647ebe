import { handlerSuite } from './handler.mjs'

handlerSuite('deno', 'deno-kv')
