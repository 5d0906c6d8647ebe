import { listen } from '../listen.mjs'

/**
 * Starts a server that takes what OpenTelemetry's exporters send as JSON (OTLP over HTTP), and keeps it.
 *
 * @returns `spans()` and `metrics()` are flat lists of what was received so far; `metrics()` has the last state of each.
 */
export async function startCollector() {
  const [traces, metrics] = [[], []]
  const server = await listen({
    async handler(request, response) {
      const chunks = []
      for await (const chunk of request) chunks.push(chunk)
      const body = JSON.parse(Buffer.concat(chunks))
      if (request.url === '/v1/traces') traces.push(body)
      else metrics.push(body)
      response.setHeader('content-type', 'application/json').end('{}')
    },
  })
  return {
    origin: server.origin,
    close: server.close,
    spans: () =>
      traces.flatMap(({ resourceSpans }) =>
        resourceSpans.flatMap(({ scopeSpans }) =>
          scopeSpans.flatMap(({ spans }) =>
            spans.map(({ attributes, ...span }) => ({ ...span, attributes: flat(attributes) })),
          ),
        ),
      ),
    /** The metrics of the handler, by name: the unit, and the points with their attributes. */
    metrics() {
      const all = (metrics.at(-1)?.resourceMetrics ?? []).flatMap(({ scopeMetrics }) =>
        scopeMetrics.filter(({ scope }) => scope.name === 'strongroom').flatMap(({ metrics }) => metrics),
      )
      return new Map(
        all.map(({ name, unit, histogram, sum }) => {
          const points = (histogram ?? sum).dataPoints.map(({ attributes, count, sum, asInt, asDouble }) => ({
            attributes: flat(attributes),
            count: Number(count ?? asInt ?? asDouble),
            sum,
          }))
          return [name, { unit, kind: histogram ? 'histogram' : 'sum', points }]
        }),
      )
    },
  }
}

/** Returns attributes as an object. */
const flat = (attributes = []) =>
  Object.fromEntries(
    attributes.map(({ key, value }) => {
      const [kind, one] = Object.entries(value)[0]
      return [key, kind === 'intValue' ? Number(one) : one]
    }),
  )
