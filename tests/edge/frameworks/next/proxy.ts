import { strongroomProxy } from 'strongroom/edge/next'
import { handler } from './handler'

export const proxy = strongroomProxy(handler)
export const config = { matcher: '/((?!auth/|_next/).*)' }
