/** Reads `text/event-stream` (HTML 9.2.5 and 9.2.6). */

/** What a stream says. */
export interface Sink {
  /** An event. `id` is the last one that was named, in this event or before. */
  event(type: string, data: string, id: string): unknown
  /** How long to wait before connecting again, in milliseconds. */
  retry(delay: number): void
}

/**
 * A function that takes a stream's bytes as they come. What is left when they end is no event: one ends with an
 * empty line.
 *
 * @param id The last id of the stream before this one.
 */
export const eventStream = (sink: Sink, id: string): ((bytes: Uint8Array) => void) => {
  // It takes off one byte order mark, at the beginning, as the standard wants it.
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
    // A comment has no name.
    field(line.slice(0, colon), line.slice(colon + 1).replace(/^ /, ''))
  }

  return (bytes) => {
    let text = decoder.decode(bytes, { stream: true })
    if (!text) return
    // The two of a line's end may come apart.
    if (isAfterReturn && text[0] === '\n') text = text.slice(1)
    isAfterReturn = text.endsWith('\r')
    const lines = text.split(/\r\n|\n|\r/)
    lines[0] = rest + lines[0]
    rest = lines.pop()!
    for (const line of lines) read(line)
  }
}
