/**
 * The provider's response in the static comparison. Its frame is sandboxed and opens no window: its provider, which runs
 * in the frame, responds at once, as for a user who is signed in there.
 */
import { authorize } from './authorization.js'

export const isResponse = (): boolean => false

export function openProvider(): (request: string) => Promise<string> {
  return async (request) => new URL(await authorize(new URL(request).searchParams, 'alice')).search
}
