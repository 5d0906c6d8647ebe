import { finishLogin } from 'strongroom/callback'
import { dedicated, shared } from './workers'

finishLogin({ shared, dedicated })
