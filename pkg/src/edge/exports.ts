/** The exports of `strongroom/edge` on every platform. */
export type {
  ClientAuth,
  FromEnv,
  Guard,
  Route,
  SessionBinding,
  SessionEnd,
  TokenHandlerConfig,
} from './config.js'
export type { Coordinator, CoordinatorSource, Entry, Reading } from './coordinators/coordinator.js'
export { denoKv, type DenoKv } from './coordinators/deno-kv.js'
export { durableObject, StrongroomSessions } from './coordinators/durable-object.js'
export type {
  CallbackEvent,
  ClockDiffersEvent,
  CopyRefusedEvent,
  CoordinatorEvent,
  HandlerEvent,
  HandlerHealth,
  LogEntry,
  LoginEvent,
  Observer,
  OutageBeganEvent,
  OutageEndedEvent,
  RefreshEvent,
  RefusedEvent,
  RenewalEvent,
  ServerHealth,
  SessionBeganEvent,
  SessionEndedEvent,
} from './events.js'
export type {
  EndOptions,
  ListedSession,
  ModuleOption,
  RequestHandler,
  SessionList,
  SessionsToEnd,
  TokenHandler,
} from './handler.js'
export type { Context } from './host.js'
export type { CallInit, EdgeSession, OuterRequest, RequestAuth } from './request-auth.js'
export type { Tenants, TenantsOptions } from './tenants.js'
export { inIsolate } from './coordinators/in-isolate.js'
export {
  redis,
  redisRest,
  type RedisClient,
  type RedisOptions,
  type RedisRestOptions,
} from './coordinators/redis.js'
