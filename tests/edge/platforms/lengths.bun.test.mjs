import { lengthsSuite } from './lengths.mjs'

lengthsSuite('bun', 'bun-redis', { measuresStreams: false, passesCoded: true })
