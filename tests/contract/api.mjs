/** The sockets of tests/support/sockets.mjs as a function, for strongroom/testing. */
export const echo = (socket) => {
  socket.protocol = socket.protocols[0]
  socket.onmessage = (data) => socket.send(data)
}

/** Ends the body of the last response of the route `on/late`. */
let goOn

/** The API of tests/support/api.mjs as a function, for strongroom/testing. It has only the routes that the cases use. */
export const respond = async (request) => {
  const path = new URL(request.url).pathname.replace('/v1/', '')
  const [route, argument] = path.split('/')
  switch (route) {
    case 'orders':
      return request.method === 'POST'
        ? Response.json({ id: 1044, ...(await request.json()) }, { status: 201 })
        : Response.json([{ id: 1041, item: 'Brass hinges, pair', quantity: 2 }])
    case 'status':
      return new Response(argument === '204' ? null : `status ${argument}\n`, { status: Number(argument) })
    case 'redirect':
      return new Response(null, { status: 302, headers: { Location: 'https://elsewhere.example/' } })
    case 'on':
      if (argument === 'reflect') return new Response(request.headers.get('authorization'))
      if (argument === 'length') {
        const headers = { 'Content-Length': '5' }
        return new Response(request.method === 'HEAD' ? null : 'hello', { headers })
      }
      if (argument === 'late') {
        const start = (controller) => {
          goOn = () => {
            controller.enqueue(new TextEncoder().encode('late'))
            controller.close()
          }
        }
        return new Response(new ReadableStream({ start }), { headers: { 'Content-Length': '4' } })
      }
      if (argument === 'go-on') {
        goOn()
        return new Response(null, { status: 204 })
      }
      throw new TypeError('the connection was cut')
  }
  return new Response(null, { status: 404 })
}
