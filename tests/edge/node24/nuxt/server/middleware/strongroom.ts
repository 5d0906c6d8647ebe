import { type Context, strongroom } from 'strongroom/edge/h3'
import { handler } from '../handler'

declare module 'h3' {
  interface H3EventContext extends Context {}
}

export default defineEventHandler(strongroom(handler))
