// A token handler in a process with OpenTelemetry: the instrumentation of Node's server and of `fetch`, and exporters to
// COLLECTOR. Prints its address. With PLAIN, the handler has no observer.
import { register } from 'node:module'
import { context, metrics, propagation, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { registerInstrumentations } from '@opentelemetry/instrumentation'
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http'
import { UndiciInstrumentation } from '@opentelemetry/instrumentation-undici'
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
import { SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'

// As the guide says: without this line, a server that is an ES module is not instrumented.
register('@opentelemetry/instrumentation/hook.mjs', import.meta.url)

const { COLLECTOR, CONFIG, PLAIN } = process.env
const reader = new PeriodicExportingMetricReader({
  exporter: new OTLPMetricExporter({ url: `${COLLECTOR}/v1/metrics` }),
  exportIntervalMillis: 1000,
  exportTimeoutMillis: 1000,
})
const exporter = new OTLPTraceExporter({ url: `${COLLECTOR}/v1/traces` })
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
propagation.setGlobalPropagator(new W3CTraceContextPropagator())
trace.setGlobalTracerProvider(new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] }))
metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }))
registerInstrumentations({
  instrumentations: [
    new HttpInstrumentation({ redactedQueryParamsServer: ['code', 'state'] }),
    new UndiciInstrumentation(),
  ],
})

const { createServer } = await import('node:http')
const { createTokenHandler, inIsolate } = await import('../../../pkg/dist/edge.js')
const { toNodeListener } = await import('../../../pkg/dist/edge/node.js')
const { openTelemetry } = await import('../../../pkg/dist/edge/opentelemetry.js')

const handler = createTokenHandler({
  ...JSON.parse(CONFIG),
  coordinator: inIsolate(),
  observe: PLAIN ? undefined : openTelemetry(),
})
const server = createServer(toNodeListener(handler)).listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ url: `http://127.0.0.1:${server.address().port}` }))
})
