import { betterAuth } from './better-auth.mjs'
import { canaille } from './canaille.mjs'
import { django } from './django.mjs'
import { jmondi } from './jmondi.mjs'
import { oidcProvider } from './oidc_provider.mjs'
import { pds } from './pds.mjs'
import { workers } from './workers.mjs'
import { zitadel } from './zitadel.mjs'

/** The servers of `cargo xtask servers`. */
export const SERVERS = [oidcProvider, jmondi, workers, django, pds, zitadel, betterAuth, canaille]
