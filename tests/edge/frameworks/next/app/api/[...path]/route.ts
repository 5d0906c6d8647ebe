import { strongroom } from 'strongroom/edge/next'
import { handler } from '../../../handler'

export const { GET, HEAD, POST, PUT, PATCH, DELETE } = strongroom(handler)
