/**
 * Encodes a form with files, for engines in which `request.blob()` fails for forms with files: WebKitGTK 2.50 rejects
 * with `InvalidStateError`.
 */

/** Escapes line ends and quotes in a header's value (HTML, "multipart/form-data encoding algorithm"). */
const escape = (text: string) => text.replace(/\n/g, '%0A').replace(/\r/g, '%0D').replace(/"/g, '%22')

const lines = (text: string) => text.replace(/\r\n|\r|\n/g, '\r\n')

/**
 * Returns the blob that `request.blob()` would return (RFC 7578).
 *
 * @param type The request's `Content-Type`, which names the boundary.
 */
export const formBlob = (form: FormData, type: string): Blob => {
  const [, boundary] = type.split('boundary=')
  const parts = [...form].flatMap(([name, value]): BlobPart[] => {
    const head = `--${boundary}\r\nContent-Disposition: form-data; name="${escape(lines(name))}"`
    if (typeof value === 'string') return [`${head}\r\n\r\n${lines(value)}\r\n`]
    const media = value.type || 'application/octet-stream'
    return [`${head}; filename="${escape(value.name)}"\r\nContent-Type: ${media}\r\n\r\n`, value, '\r\n']
  })
  return new Blob([...parts, `--${boundary}--\r\n`])
}
