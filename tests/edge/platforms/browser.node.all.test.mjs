import { pageSuite } from './page.mjs'

pageSuite('node', { coordinator: 'node-redis' })
