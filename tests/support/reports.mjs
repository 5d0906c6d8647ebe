import { readBody } from './body.mjs'
import { listen } from './listen.mjs'

/** Starts a server that collects browsers' reports of policy violations, for the directive `report-uri`. */
export async function startReports() {
  const waiting = []
  const { origin, close } = await listen({
    async handler(request, response) {
      const report = JSON.parse((await readBody(request)).toString())['csp-report']
      response.writeHead(204).end()
      waiting.shift()?.(report)
    },
  })
  return {
    url: `${origin}/reports`,
    close,
    /** Resolves with the next report that arrives. */
    next: () => new Promise((resolve) => waiting.push(resolve)),
  }
}
