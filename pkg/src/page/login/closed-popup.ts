/** Constants of the detection of closed popups. */

/** Milliseconds between checks of a popup. */
export const CHECK_INTERVAL = 500

/**
 * The number of checks that must find a popup closed before the login is canceled. A popup also looks closed when it
 * returns to a page whose Cross-Origin-Opener-Policy separates popup and opener. The script of that page may need the
 * time of these checks, five seconds, to send its message.
 */
export const MIN_CHECKS = 10
