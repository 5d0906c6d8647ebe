import { createCsrfMiddleware, createMiddleware, createStart } from '@tanstack/react-start'
import { strongroom } from 'strongroom/edge/tanstack-start'
import { handler } from './handler.server'

const serve = strongroom(handler)
const auth = createMiddleware().server(({ request, next }) => serve(request, (context) => next({ context })))
// Start adds this middleware itself only to an app without the file start.ts.
const csrf = createCsrfMiddleware({ filter: ({ handlerType }) => handlerType === 'serverFn' })

export const startInstance = createStart(() => ({ requestMiddleware: [auth, csrf] }))
