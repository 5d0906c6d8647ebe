import { vault } from 'strongroom/worker'
import { config } from './auth.config'

vault(config)
