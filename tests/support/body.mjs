/** Reads a request's whole body. */
export async function readBody(request) {
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** Reads the fields of a urlencoded form. */
export async function readForm(request) {
  return Object.fromEntries(new URLSearchParams((await readBody(request)).toString()))
}
