import handler from './handler.mjs'

/** A handler for requests whose framing is not visible: with `x-bare`, they have a stream and neither header about it. */
export default (coordinator) =>
  handler(coordinator, (own) => ({
    fetch: (request, env, context) =>
      own.fetch(request.headers.has('x-bare') ? bare(request) : request, env, context),
  }))

/** Returns a request as platforms show one of HTTP/2. */
const bare = ({ url, method, headers: given, body, signal }) => {
  const headers = new Headers(given)
  for (const name of ['content-length', 'transfer-encoding', 'x-bare']) headers.delete(name)
  const empty = new ReadableStream({ start: (controller) => controller.close() })
  return new Request(url, { method, headers, body: body ?? empty, duplex: 'half', signal })
}
