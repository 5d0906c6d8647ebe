import { strongroom } from 'strongroom/edge/astro'
import { handler } from '../auth.js'

export const onRequest = strongroom(handler)
