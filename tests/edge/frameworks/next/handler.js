import { handler as made } from './auth'

export const handler = (globalThis.tokenHandler ??= made)
