/**
 * Counts the messages between page and vault for a call: the messages that the page sends, and the messages that it
 * receives.
 */
import { connectShared, report } from './connect.js'

const MB = 1024 * 1024
const SIZES = [MB, 16 * MB]

let sent = 0
let received = 0
const { postMessage } = MessagePort.prototype
MessagePort.prototype.postMessage = function (...message) {
  sent += 1
  return postMessage.apply(this, message)
}
const handler = Object.getOwnPropertyDescriptor(MessagePort.prototype, 'onmessage')
Object.defineProperty(MessagePort.prototype, 'onmessage', {
  ...handler,
  set(listener) {
    const counting = (event) => {
      received += 1
      listener(event)
    }
    handler.set.call(this, listener && counting)
  },
})

report(async () => {
  const auth = await connectShared()
  const count = async (url, read) => {
    // Broadcasts to all pages, for instance of a refresh, do not belong to a call.
    await auth.fetch(`${API}orders`).then((response) => response.text())
    sent = received = 0
    await read(await auth.fetch(url))
    return { url, sent, received }
  }
  const counts = [
    ['a small answer', await count(`${API}orders`, (response) => response.text())],
    ['an answer without a body', await count(`${API}status/204`, () => {})],
  ]
  for (const size of SIZES) {
    const whole = (response) => response.arrayBuffer()
    counts.push([`${size / MB} MB`, await count(`${API}bytes?size=${size}`, whole)])
  }
  return counts
})
