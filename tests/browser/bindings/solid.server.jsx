import { generateHydrationScript, renderToString } from 'solid-js/web'
import { App } from './solid.jsx'

export const render = (auth) => renderToString(() => <App auth={auth} isGuarded />)

/** Belongs in the page's head. */
export const head = generateHydrationScript()
