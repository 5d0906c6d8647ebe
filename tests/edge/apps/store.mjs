/** Serves the isolate's coordinator over HTTP, for `overHttp()` of tests/edge/platforms/over_http.mjs. */
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
