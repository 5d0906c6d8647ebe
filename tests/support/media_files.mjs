// The files of an API of media: pictures, and recordings of any length. Browsers request parts of recordings.
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { deflateSync } from 'node:zlib'

/** Bytes of a second of a recording: two channels of 16 bits at 44.1 kHz. */
const SECOND = 44_100 * 4

/** Returns the 44 bytes at the beginning of a recording in the format WAV. */
function head(length) {
  const bytes = Buffer.alloc(44)
  bytes.write('RIFF', 0)
  bytes.writeUInt32LE(length - 8, 4)
  bytes.write('WAVEfmt ', 8)
  bytes.writeUInt32LE(16, 16)
  bytes.writeUInt16LE(1, 20) // PCM
  bytes.writeUInt16LE(2, 22) // channels
  bytes.writeUInt32LE(SECOND / 4, 24)
  bytes.writeUInt32LE(SECOND, 28)
  bytes.writeUInt16LE(4, 32)
  bytes.writeUInt16LE(16, 34)
  bytes.write('data', 36)
  bytes.writeUInt32LE(length - 44, 40)
  return bytes
}

/** A recording of silence. */
export class Recording {
  constructor(seconds) {
    this.type = 'audio/wav'
    this.length = 44 + seconds * SECOND
    this.head = head(this.length)
  }

  /** Yields the bytes from `start` to before `end`. */
  *read(start, end) {
    if (start < 44) yield this.head.subarray(start, Math.min(end, 44))
    const silence = Buffer.alloc(64 * 1024)
    for (let at = Math.max(start, 44); at < end; at += silence.length) yield silence.subarray(0, end - at)
  }
}

const crcTable = Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1
  return n >>> 0
})
const crc = (bytes) => {
  let sum = 0xffffffff
  for (const byte of bytes) sum = crcTable[(sum ^ byte) & 255] ^ (sum >>> 8)
  return (sum ^ 0xffffffff) >>> 0
}
const chunk = (name, data) => {
  const body = Buffer.concat([Buffer.from(name), data])
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)]
  length.writeUInt32BE(data.length)
  sum.writeUInt32BE(crc(body))
  return Buffer.concat([length, body, sum])
}

/** Returns a gray picture in the format PNG. */
export function picture(width = 24, height = 24) {
  const size = Buffer.alloc(13)
  size.writeUInt32BE(width, 0)
  size.writeUInt32BE(height, 4)
  size[8] = 8 // bits, of a gray value
  const rows = Buffer.alloc(height * (width + 1), 0x80)
  for (let y = 0; y < height; y++) rows[y * (width + 1)] = 0 // no filter
  const parts = [chunk('IHDR', size), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))]
  return Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), ...parts])
}

/** Sends a recording, or the part that a request has asked for. Resolves when it is sent, or the connection is closed. */
export async function sendRecording(request, response, recording) {
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? []
  const start = Number(from ?? 0)
  const end = to ? Math.min(Number(to) + 1, recording.length) : recording.length
  const range = from && { 'content-range': `bytes ${start}-${end - 1}/${recording.length}` }
  response.writeHead(from ? 206 : 200, {
    'content-type': recording.type,
    'content-length': end - start,
    'accept-ranges': 'bytes',
    ...range,
  })
  // An element closes the connection when it has what it needs.
  await pipeline(Readable.from(recording.read(start, end)), response).catch(() => {})
}
