import { strongroomProxy } from 'strongroom/edge/next'
import { handler } from './handler.js'

export const proxy = strongroomProxy(handler)
export const config = { matcher: '/api/:path*' }
