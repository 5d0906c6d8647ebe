/** The frame of the comparison (local-storage.ts), which has an origin of its own, or none. */
import { comparison } from './addresses.js'
import { byId } from './dom.js'

const frame = () => byId<HTMLIFrameElement>('comparison')

/** Loads the comparison, and gives the frame the height of its content. */
export function setUpComparison(): void {
  addEventListener('message', ({ source, data }) => {
    if (source === frame().contentWindow && typeof data === 'number') frame().style.height = `${data}px`
  })
  // A frame with this sandbox shares no origin with any page.
  if (comparison.isSandboxed) frame().sandbox.add('allow-scripts')
  frame().src = comparison.url
}

/** Searches the comparison, if it has a token. */
export function searchComparison(): void {
  frame().contentWindow?.postMessage('search', comparison.origin)
}
