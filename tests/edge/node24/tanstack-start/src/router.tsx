import { createRouter } from '@tanstack/react-router'
import { routeTree } from './routeTree.gen'

export const getRouter = () =>
  createRouter({
    routeTree,
    defaultErrorComponent: () => <p>This did not work. Please try again.</p>,
    defaultNotFoundComponent: () => <p>The app does not know this page.</p>,
  })
