/** Shows errors in a banner. */
import { byId, code, el } from './dom.js'

/** Shows an error's code and message. Hides the banner if `error` is `null`. */
export function showTrouble(error: unknown): void {
  const banner = byId('trouble')
  banner.hidden = error === null
  if (error === null) return
  const { code: errorCode, message = String(error) } = error as { code?: string; message?: string }
  const sentence = errorCode ? message.replace(`${errorCode}: `, '') : message
  banner.replaceChildren(...(errorCode ? [code(errorCode), ' '] : []), el('span', {}, sentence))
}
