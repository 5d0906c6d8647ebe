/** The redirect URI of the demo whose vault has its own origin. */
import { vaultCallback } from 'strongroom/vault-frame'

vaultCallback({ app: `${APP}/` })
