/** A coordinator by HTTP: what `overHttp()` of tests/edge/over_http.mjs asks is what the isolate's coordinator does. */
export default (source) => ({
  async fetch(request, env) {
    const coordinator = source(env)
    const [method, ...args] = await request.json()
    try {
      return Response.json((await coordinator[method](...args)) ?? null)
    } catch (error) {
      return new Response(`${error?.name}: ${error?.message}`, { status: 500 })
    }
  },
})
