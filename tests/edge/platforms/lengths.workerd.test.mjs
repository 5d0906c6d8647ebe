import { lengthsSuite } from './lengths.mjs'

lengthsSuite('workerd', 'durable-object', { measuresStreams: true, passesCoded: true })
