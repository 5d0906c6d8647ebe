/**
 * A directory of DIDs that behaves as https://plc.directory does when a PDS creates an account: the real one is not on
 * loopback.
 */
import { createServer } from 'node:http'

/** Starts the directory. Resolves with its URL. */
export async function startDirectory() {
  const operations = new Map()
  const server = createServer(async (request, response) => {
    const did = decodeURIComponent(request.url.split('/')[1])
    if (request.method === 'POST') {
      const chunks = []
      for await (const chunk of request) chunks.push(chunk)
      operations.set(did, JSON.parse(Buffer.concat(chunks)))
      return response.end()
    }
    const operation = operations.get(did)
    if (!operation) return response.writeHead(404).end()
    response.setHeader('Content-Type', 'application/json')
    response.end(JSON.stringify(documentOf(did, operation)))
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${server.address().port}`
}

const documentOf = (did, { alsoKnownAs, verificationMethods, services }) => ({
  '@context': ['https://www.w3.org/ns/did/v1'],
  id: did,
  alsoKnownAs,
  verificationMethod: Object.entries(verificationMethods).map(([name, key]) => ({
    id: `${did}#${name}`,
    type: 'Multikey',
    controller: did,
    publicKeyMultibase: key.replace('did:key:', ''),
  })),
  service: Object.entries(services).map(([name, { type, endpoint }]) => ({
    id: `#${name}`,
    type,
    serviceEndpoint: endpoint,
  })),
})
