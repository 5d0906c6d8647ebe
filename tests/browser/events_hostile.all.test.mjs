// Tests of the parser of event streams without a browser. The parser gets hostile streams in random chunks, and must
// find the same events as a reference parser that reads the whole stream by the HTML standard (section 9.2.6).
import assert from 'node:assert/strict'
import { build } from 'esbuild'
import { before, test } from 'node:test'
import { fileURLToPath } from 'node:url'

let eventStream

before(async () => {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL('../../pkg/src/page/streaming/event-stream.ts', import.meta.url))],
    format: 'esm',
    bundle: true,
    write: false,
  })
  const code = Buffer.from(outputFiles[0].contents).toString('base64')
  ;({ eventStream } = await import(`data:text/javascript;base64,${code}`))
})

/** Random numbers that repeat for the same seed (mulberry32). */
function dice(seed) {
  let state = seed
  return (sides) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % sides
  }
}

/** Parts of streams: fields, line ends, and bytes that a parser may confuse with them. */
const PIECES = [
  'data',
  'data:',
  'data: ',
  'data:  x',
  'event:',
  'event: a\n',
  'id',
  'id:',
  'id: 7\n',
  'id: \0\n',
  'retry:',
  'retry: 1\n',
  'retry: 1x\n',
  ':',
  ': ',
  ' ',
  '\n',
  '\n\n',
  '\r',
  '\r\n',
  '\r\r',
  '\n\r',
  '\0',
  '\ufeff',
  'é',
  '🎉',
  '\u2028',
  'DATA:x',
  'x',
  '1',
  'x'.repeat(300),
].map((text) => Buffer.from(text))
// Bytes that are not a complete UTF-8 character.
const BROKEN = [[0xff], [0xc3], [0xe2, 0x82], [0xf0, 0x9f, 0x8e], [0x80], [0xef, 0xbb]].map((bytes) =>
  Buffer.from(bytes),
)

/** Parses the whole stream. The code follows HTML section 9.2.6 sentence by sentence. */
function reference(bytes, firstId) {
  const said = []
  let [data, type, id] = ['', '', firstId]
  const text = new TextDecoder().decode(bytes)
  // Text after the last line end is not a complete line.
  const lines = text.split(/\r\n|\n|\r/)
  lines.pop()
  for (const line of lines) {
    if (line === '') {
      if (data !== '')
        said.push([type === '' ? 'message' : type, data.endsWith('\n') ? data.slice(0, -1) : data, id])
      data = type = ''
      continue
    }
    if (line.startsWith(':')) continue
    const [, name, rest] = line.includes(':') ? /^([^:]*):(.*)$/su.exec(line) : [null, line, '']
    const value = rest.startsWith(' ') ? rest.slice(1) : rest
    if (name === 'event') type = value
    if (name === 'data') data += value + '\n'
    if (name === 'id' && !value.includes('\0')) id = value
    if (name === 'retry' && value !== '' && [...value].every((c) => c >= '0' && c <= '9'))
      said.push(Number(value))
  }
  return said
}

function read(pieces, firstId) {
  const said = []
  const take = eventStream(
    { event: (...event) => said.push(event), retry: (delay) => said.push(delay) },
    firstId,
  )
  for (const piece of pieces) take(piece)
  return said
}

function cut(bytes, roll) {
  const pieces = []
  for (let at = 0; at < bytes.length;) {
    const end = Math.min(bytes.length, at + roll(roll(4) === 0 ? 40 : 5))
    pieces.push(bytes.subarray(at, end))
    at = end
  }
  return pieces
}

test('six thousand streams, each split in three ways', { timeout: 60_000 }, () => {
  let events = 0
  for (let seed = 0; seed < 6000; seed++) {
    const roll = dice(seed)
    const pieces = Array.from({ length: 1 + roll(24) }, () => {
      const from = roll(12) === 0 ? BROKEN : PIECES
      return from[roll(from.length)]
    })
    const bytes = new Uint8Array(Buffer.concat(pieces))
    const expected = reference(bytes, 'first')
    events += expected.length
    for (const whole of [[bytes], cut(bytes, roll), cut(bytes, roll)]) {
      assert.deepEqual(read(whole, 'first'), expected, `seed ${seed}`)
    }
  }
  assert.ok(events > 1500, `${events} events are too few to mean anything`)
})

test('a control: a different parser is detected', () => {
  const bytes = new Uint8Array(Buffer.from('data: a\r\n\r\n'))
  assert.deepEqual(reference(bytes, ''), [['message', 'a', '']])
  assert.deepEqual(read([bytes.subarray(0, 8), bytes.subarray(8)], ''), [['message', 'a', '']])
  // A parser that counts CR and LF as two line ends would return the same events for this stream as for the stream
  // above.
  assert.notDeepEqual(reference(new Uint8Array(Buffer.from('data: a\r\n\rdata: b\n\n')), ''), [
    ['message', 'a\nb', ''],
  ])
})

test('a line of a megabyte, byte by byte, is parsed fast', { timeout: 60_000 }, () => {
  const bytes = new Uint8Array(1024 * 1024).fill(120)
  const take = eventStream({ event: () => assert.fail('no event'), retry: () => assert.fail('no retry') }, '')
  for (let at = 0; at < bytes.length; at++) take(bytes.subarray(at, at + 1))
})
