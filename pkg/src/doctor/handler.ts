/** The lines about a token handler. */
import type { Deployment } from './deployment.js'

/** Checks the token handler. Resolves with false if there is none. */
export const checkHandler = async ({ report }: Deployment, base: string): Promise<boolean> => {
  report.unused('handler.found', `there is no token handler at ${base}`)
  return false
}
