import { handler as made } from './auth.js'

export const handler = (globalThis.tokenHandler ??= made)
