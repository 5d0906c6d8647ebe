/**
 * True if the combinations that only repeat a behavior in another mode run as well: `cargo xtask test browser --all`.
 * Without them, each behavior is tested in at least one mode, and each mode with its main behaviors.
 */
export const ALL = Boolean(process.env.TEST_ALL)
