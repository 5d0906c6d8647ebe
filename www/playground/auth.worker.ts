/** The playground's worker: starts a vault with the configuration that the page sends first. */
import { standAt } from './stand-ins.js'
import { vault } from 'strongroom/worker'

addEventListener(
  'message',
  ({ data: { configuration, address } }) => {
    standAt(address)
    vault(configuration)
  },
  { once: true },
)
