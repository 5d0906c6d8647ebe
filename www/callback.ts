/** The script of the redirect URI's page, in the demo whose vault has its own origin. */
import { vaultCallback } from 'strongroom/vault-frame'

vaultCallback({ app: `${APP}/` })
