/**
 * A test double for apps: the vault's own core and the page's own code, with a provider and APIs in memory, in virtual
 * time. It runs in Node, in jsdom or happy-dom, and in browsers. See docs/testing-your-app.md.
 *
 * ```ts
 * const world = await testWorld(config, { api: (request) => Response.json({ url: request.url }) })
 * world.signIn({ name: 'Alice' })
 * await world.advance('31m')
 * world.auth.state.endReason // 'idle'
 * ```
 *
 * @module
 */
export { testWorld } from './world.js'
export type {
  SocketData,
  TestApi,
  TestCall,
  TestOptions,
  TestProvider,
  TestSocket,
  TestUser,
  TestWorld,
} from './api.js'
