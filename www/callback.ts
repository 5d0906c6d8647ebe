/** The redirect URI in the demo whose vault has its own origin. */
import { vaultCallback } from 'strongroom/vault-frame'

vaultCallback({ app: `${APP}/` })
