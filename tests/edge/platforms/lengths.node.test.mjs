import { lengthsSuite } from './lengths.mjs'

lengthsSuite('node', 'node-redis', { measuresStreams: true, passesCoded: false })
