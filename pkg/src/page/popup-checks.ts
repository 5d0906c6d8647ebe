/** Constants of the detection of closed popups. */

/** Milliseconds between checks of a popup. */
export const CHECK_INTERVAL = 500

/**
 * The number of checks at which a popup must look closed. A popup also looks closed when it returns to a page whose
 * policy separates it, until the script of that page has sent a message.
 */
export const MIN_CHECKS = 10
