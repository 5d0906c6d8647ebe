import { pageSuite } from './page.mjs'

pageSuite('workerd', { coordinator: 'durable-object', hasSockets: true })
