/** The redirect URI, in the demo with an origin for the vault. */
import { vaultCallback } from 'strongroom/vault-frame'

vaultCallback({ app: `${APP}/` })
