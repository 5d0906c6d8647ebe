import { betterAuth } from './better-auth.mjs'
import { canaille } from './canaille.mjs'
import { django } from './django.mjs'
import { jmondi } from './jmondi.mjs'
import { keycloak } from './keycloak.mjs'
import { oidcProvider } from './oidc_provider.mjs'
import { pds } from './pds.mjs'
import { spring } from './spring.mjs'
import { workers } from './workers.mjs'
import { zitadel } from './zitadel.mjs'

/** The servers of `cargo xtask servers`. */
export const SERVERS = [
  oidcProvider,
  keycloak,
  spring,
  zitadel,
  betterAuth,
  canaille,
  django,
  jmondi,
  workers,
  pds,
]
