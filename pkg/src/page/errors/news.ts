import { isOffline } from '../../protocol/repeat.js'

/**
 * Returns true for an error that a developer should see: not for what the user or the app has chosen, and not for a
 * server that cannot be reached while the device is offline.
 */
export const isNews = (code?: string): boolean =>
  !/^(login_(canceled|denied|required)|page_left)$/.test(code!) &&
  !(isOffline() && /^((config|provider)_unavailable|handler_unreachable)$/.test(code!))
