/**
 * Returns the names that a metric of OpenTelemetry has in Prometheus. `kind` begins with `histogram`, `counter` or
 * `up-down counter`.
 */
export const namesInPrometheus = (name, unit, kind) => {
  const base = name.replaceAll('.', '_') + (unit === 's' ? '_seconds' : '')
  if (kind.startsWith('histogram')) return ['bucket', 'sum', 'count'].map((part) => `${base}_${part}`)
  return [kind.startsWith('counter') ? `${base}_total` : base]
}
