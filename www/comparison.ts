/** The frame of the comparison (local-storage.ts), which has an origin of its own. */
import { byId } from './dom.js'

const frame = () => byId<HTMLIFrameElement>('comparison')

/** Loads the comparison, and gives the frame the height of its content. */
export function setUpComparison(): void {
  addEventListener('message', ({ source, data }) => {
    if (source === frame().contentWindow && typeof data === 'number') frame().style.height = `${data}px`
  })
  frame().src = `${COMPARISON}/`
}

/** Searches the comparison, if it has a token. */
export function searchComparison(): void {
  frame().contentWindow?.postMessage('search', COMPARISON)
}
