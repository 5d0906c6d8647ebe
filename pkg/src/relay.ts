/**
 * Where tabs share no worker, the vault that began a popup's login is the opener's. The popup's page hands
 * the answer to it by a BroadcastChannel, since the provider may have cut the popup off from its opener.
 * The answer's code is useless without the verifier, which is in the opener's vault.
 */
import { stateOf } from './address.js'
import type { Link } from './port.js'

const open = () => new BroadcastChannel('strongroom')

/** In the opener: waits for the answer to this authorization request and passes it to the vault. */
export const awaitAnswer = (link: Link, request: URL, fail: (error: unknown) => void): (() => void) => {
  const channel = open()
  channel.onmessage = ({ data: [state, url] }) => {
    if (state !== stateOf(request)) return
    channel.postMessage(state)
    link.query({ t: 'callback', url }).catch(fail)
  }
  return () => channel.close()
}

/** In the popup: hands the answer over. Resolves with whether an opener took it, within a second. */
export const passAnswer = (answer: URL): Promise<boolean> =>
  new Promise((resolve) => {
    const channel = open()
    const end = (taken: boolean) => {
      clearTimeout(timer)
      channel.close()
      resolve(taken)
    }
    const timer = setTimeout(end, 1000, false)
    channel.onmessage = ({ data }) => data === stateOf(answer) && end(true)
    channel.postMessage([stateOf(answer), answer.href])
  })
