/**
 * True in `cargo xtask test browser --all`, which also repeats each behavior in all other modes. Other runs test each
 * behavior in at least one mode, and the main behaviors in each mode.
 */
export const ALL = Boolean(process.env.TEST_ALL)
