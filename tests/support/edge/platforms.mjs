/**
 * The platforms on which a token handler runs. Each platform is the real runtime, and all platforms have the same
 * interface.
 *
 * ```js
 * const running = await PLATFORMS.workerd.start({ app, env, isolates: 2, coordinator: 'durable-object' })
 * await fetch(running.urls[0])
 * await running.stop()
 * ```
 *
 * @typedef {object} Platform
 * @property {string[]} coordinators The coordinators that the platform can use, the most suitable first.
 * @property {(options: Options) => Promise<Running>} start
 *
 * @typedef {object} Options
 * @property {URL} app A module whose default export takes a `CoordinatorSource` and returns `{ fetch(request, env,
 *   context) }`. It may import `strongroom/…`, which is the built package.
 * @property {Record<string, string>} [env] The second argument of `fetch`.
 * @property {number} [isolates] Number of isolates. They share only the coordinator. Default 2.
 * @property {string} [coordinator] One of the platform's coordinators. Default: the first.
 * @property {number} [port] The first isolate's port. Only workerd uses this option. Default: any free port.
 *
 * @typedef {object} Running
 * @property {string[]} urls The origin of each isolate.
 * @property {() => Promise<void>} stop
 * @property {{ stop(): Promise<void> }} store The store behind the coordinator. Stop it to cause an outage.
 */
import { bun } from './bun.mjs'
import { deno } from './deno.mjs'
import { edgeRuntime } from './edge_runtime.mjs'
import { node } from './node.mjs'
import { workerd } from './workerd.mjs'

/** @type {Record<string, Platform>} */
export const PLATFORMS = { workerd, deno, node, bun, edgeRuntime }
