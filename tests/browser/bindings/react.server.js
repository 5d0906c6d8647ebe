import { createElement } from 'react'
import { renderToString } from 'react-dom/server'
import { App } from './react.js'

export const render = (auth) => renderToString(createElement(App, { auth, isGuarded: true }))
