import { createAuth } from 'strongroom'
import { dedicated, shared } from './workers'

export const auth = createAuth({ shared, dedicated })
