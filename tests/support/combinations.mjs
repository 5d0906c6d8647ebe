/**
 * True if the environment variable `TEST_ALL` is set, as by `cargo xtask test browser --all`. Such a run repeats each
 * behavior in all modes. Other runs test each behavior in at least one mode, and the main behaviors in each mode.
 */
export const ALL = Boolean(process.env.TEST_ALL)
