/** The channel between a popup and the page that has opened it. */

/** The name of the BroadcastChannel. */
const POPUP_CHANNEL = 'strongroom'

export const openChannel = (): BroadcastChannel => new BroadcastChannel(POPUP_CHANNEL)

/**
 * Tells the opener that the popup of the login with this `state` has come back, or that the login has failed. Script of
 * this origin can listen to the channel, so the callback page sends no response.
 */
export const announce = (state: string, failure?: { code: string; message: string }): void => {
  const channel = openChannel()
  channel.postMessage([state, failure && { code: failure.code, message: failure.message }])
  channel.close()
}
