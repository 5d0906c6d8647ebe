/** Writes dashboard.json, a dashboard for Grafana: `node examples/observe/dashboard.mjs`. */
import { writeFile } from 'node:fs/promises'

const datasource = { type: 'prometheus', uid: '${datasource}' }
const WIDTH = 12
const HEIGHT = 8

const rate = (metric, by = '') => `sum${by && ` by (${by})`} (rate(${metric}[$__rate_interval]))`
const quantile = (metric, by = '') =>
  `histogram_quantile(0.95, sum by (le${by && `, ${by}`}) (rate(${metric}_bucket[$__rate_interval])))`

/** Titles, units, and queries with the legends of their lines. */
const PANELS = [
  [
    'Servers that do not respond',
    'short',
    [['max by (strongroom_server) (strongroom_outage_active)', '{{strongroom_server}}']],
  ],
  [
    'Refused requests',
    'reqps',
    [
      [
        rate('strongroom_request_refused_total', 'error_type, http_response_status_code'),
        '{{http_response_status_code}} {{error_type}}',
      ],
    ],
  ],
  [
    'Logins',
    'reqps',
    [
      [rate('strongroom_callback_duration_seconds_count{error_type=""}'), 'signed in'],
      [rate('strongroom_callback_duration_seconds_count{error_type!=""}', 'error_type'), '{{error_type}}'],
    ],
  ],
  [
    'Refreshes',
    'reqps',
    [
      [rate('strongroom_refresh_duration_seconds_count', 'strongroom_result'), '{{strongroom_result}}'],
      [rate('strongroom_refresh_waiting_total'), 'requests that waited for one'],
    ],
  ],
  [
    'Refreshes: 95 % are faster than',
    's',
    [[quantile('strongroom_refresh_duration_seconds', 'strongroom_result'), '{{strongroom_result}}']],
  ],
  [
    'Failed refreshes by cause',
    'reqps',
    [[rate('strongroom_refresh_duration_seconds_count{error_type!=""}', 'error_type'), '{{error_type}}']],
  ],
  [
    'Coordinator: 95 % of calls are faster than',
    's',
    [
      [
        quantile('strongroom_coordinator_duration_seconds', 'strongroom_operation'),
        '{{strongroom_operation}}',
      ],
    ],
  ],
  [
    'Coordinator: calls',
    'reqps',
    [
      [
        rate('strongroom_coordinator_duration_seconds_count', 'strongroom_operation, strongroom_result'),
        '{{strongroom_operation}} {{strongroom_result}}',
      ],
    ],
  ],
  [
    'Sessions that begin and end',
    'reqps',
    [
      [rate('strongroom_session_began_total'), 'began'],
      [rate('strongroom_session_ended_total', 'strongroom_reason'), '{{strongroom_reason}}'],
    ],
  ],
  [
    'Cookies that seem to be copies',
    'reqps',
    [[rate('strongroom_copy_refused_total', 'error_type'), '{{error_type}}']],
  ],
]

const panel = ([title, unit, queries], index) => ({
  id: index + 1,
  title,
  type: 'timeseries',
  datasource,
  gridPos: { x: (index % 2) * WIDTH, y: Math.floor(index / 2) * HEIGHT, w: WIDTH, h: HEIGHT },
  fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
  options: { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi' } },
  targets: queries.map(([expr, legendFormat], query) => ({
    datasource,
    expr,
    legendFormat,
    refId: String.fromCharCode(65 + query),
  })),
})

const dashboard = {
  title: 'strongroom token handler',
  uid: 'strongroom',
  tags: ['strongroom'],
  schemaVersion: 39,
  refresh: '30s',
  time: { from: 'now-1h', to: 'now' },
  templating: {
    list: [{ name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus' }],
  },
  panels: PANELS.map(panel),
}
const file = new URL('./dashboard.json', import.meta.url)
await writeFile(file, `${JSON.stringify(dashboard, null, 2)}\n`)
