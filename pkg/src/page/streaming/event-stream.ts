/** Reads `text/event-stream` (HTML 9.2.5 and 9.2.6). */

/** Receives a stream's events and its reconnection time. */
export interface Sink {
  /** An event. `id` is the last event ID, which this event or an earlier event has set. */
  event(type: string, data: string, id: string): unknown
  /** The delay before reconnecting, in milliseconds. */
  retry(delay: number): void
}

/**
 * Returns a function that parses a stream's bytes as they arrive. An incomplete event at the end of the stream is
 * dropped: a complete event ends with an empty line.
 *
 * @param id The last event ID of the previous stream.
 */
export const eventStream = (sink: Sink, id: string): ((bytes: Uint8Array) => void) => {
  // The decoder removes a byte order mark at the start, as the standard requires.
  const decoder = new TextDecoder()
  let rest = ''
  let isAfterReturn = false
  let type = ''
  let data = ''

  const dispatch = () => {
    const [itsType, itsData] = [type, data]
    type = data = ''
    if (itsData) sink.event(itsType || 'message', itsData.slice(0, -1), id)
  }

  const field = (name: string, value: string) => {
    if (name === 'event') type = value
    else if (name === 'data') data += `${value}\n`
    else if (name === 'id') {
      if (!value.includes('\0')) id = value
    } else if (name === 'retry' && /^[0-9]+$/.test(value)) sink.retry(Number(value))
  }

  const read = (line: string) => {
    if (!line) return dispatch()
    const colon = line.indexOf(':')
    if (colon < 0) return field(line, '')
    // A comment begins with a colon, so its name is empty, and `field` ignores it.
    field(line.slice(0, colon), line.slice(colon + 1).replace(/^ /, ''))
  }

  return (bytes) => {
    let text = decoder.decode(bytes, { stream: true })
    if (!text) return
    // CR and LF may arrive in different chunks.
    if (isAfterReturn && text[0] === '\n') text = text.slice(1)
    isAfterReturn = text.endsWith('\r')
    const lines = text.split(/\r\n|\n|\r/)
    lines[0] = rest + lines[0]
    rest = lines.pop()!
    for (const line of lines) read(line)
  }
}
