import { test } from 'node:test'

/**
 * True if the environment variable `TEST_ALL` is set, as by `cargo xtask test browser --all`. Such a run repeats each
 * behavior in all modes. Other runs test each behavior in at least one mode, and the main behaviors in each mode.
 */
export const ALL = Boolean(process.env.TEST_ALL)

/** True with `--all`, or if `cargo xtask test changed` finds that a change concerns the file. */
export const WHOLE = ALL || Boolean(process.env.TEST_ROWS)

/**
 * Returns the rows of a table that run: all of them if {@link WHOLE}. Otherwise only the first row runs, because another
 * test guards the rule, and the table its cases.
 *
 * @template T
 * @param {T[]} table
 */
export const rows = (table) => (WHOLE ? table : table.slice(0, 1))

/** Adds a test that runs only if {@link WHOLE}, with the arguments of `test`. It must not be a claim's only test. */
export const leftOut = (...given) => void (WHOLE && test(...given))

/**
 * Returns the options of a token handler. In a run of all combinations, sessions are bound if the browser supports it, so
 * that all tests in `tests/edge` show that nothing changes for clients that do not support it.
 *
 * @param {object} options
 */
export const withBinding = ({ session, ...options }) => ({
  ...options,
  session: { ...(ALL && { bind: 'if-supported' }), ...session },
})
