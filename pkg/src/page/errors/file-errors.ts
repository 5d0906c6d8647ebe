/** The errors with which files have failed. */
export const fileErrors = new Set<unknown>()
