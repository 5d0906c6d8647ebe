import { generateHydrationScript, renderToString } from 'solid-js/web'
import { App } from './solid.jsx'

export const render = (auth) => renderToString(() => <App auth={auth} isGuarded />)

/** A script that the page's head must contain. */
export const head = generateHydrationScript()
