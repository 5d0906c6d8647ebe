import { lengthsSuite } from './lengths.mjs'

lengthsSuite('deno', 'deno-kv', { measuresStreams: true, passesCoded: false })
