import { strongroom } from 'strongroom/edge/sveltekit'
import { handler } from '../auth.js'

export const handle = strongroom(handler)
