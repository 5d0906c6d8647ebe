/**
 * The platforms that a token handler runs on, each for real and each started in the same way.
 *
 * ```js
 * const running = await PLATFORMS.workerd.start({ app, env, isolates: 2, coordinator: 'durable-object' })
 * await fetch(running.urls[0])
 * await running.stop()
 * ```
 *
 * @typedef {object} Platform
 * @property {string[]} coordinators Those that it can use, what it is for being first.
 * @property {(options: Options) => Promise<Running>} start
 *
 * @typedef {object} Options
 * @property {URL} app A module whose default export takes a `CoordinatorSource` and returns `{ fetch(request, env,
 *   context) }`. It may import `strongroom/…`, which is what was built.
 * @property {Record<string, string>} [env] What `env` has for `fetch`.
 * @property {number} [isolates] How many, which share nothing but the coordinator. Default 2.
 * @property {string} [coordinator] One of the platform's. Default the first.
 * @property {number} [port] Of the first isolate, in workerd. Default: any that is free.
 *
 * @typedef {object} Running
 * @property {string[]} urls The origin of each isolate.
 * @property {() => Promise<void>} stop
 * @property {{ stop(): Promise<void> }} store What stands behind the coordinator; stop it for an outage.
 */
import { bun } from './bun.mjs'
import { deno } from './deno.mjs'
import { edgeRuntime } from './edge_runtime.mjs'
import { node } from './node.mjs'
import { workerd } from './workerd.mjs'

/** @type {Record<string, Platform>} */
export const PLATFORMS = { workerd, deno, node, bun, edgeRuntime }
