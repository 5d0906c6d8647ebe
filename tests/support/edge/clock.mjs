import { rm, writeFile } from 'node:fs/promises'

/** libfaketime, which `cargo xtask` finds or installs. The loader replaces `$LIB`. */
const LIBRARY = process.env.FAKETIME_LIBRARY ?? '/usr/$LIB/faketime/libfaketime.so.1'

/**
 * Creates the system's clock of a process that a test starts with `env`. The process's timers and its monotonic clock stay
 * right, as after a wrong setting of a real clock.
 *
 * @param {string} file A file for the difference, which the process reads at each look at its clock.
 * @param {number} seconds The seconds by which the clock is ahead.
 */
export async function newClock(file, seconds = 0) {
  const set = (ahead) => writeFile(file, `${ahead < 0 ? '' : '+'}${ahead}\n`)
  await set(seconds)
  return {
    env: {
      LD_PRELOAD: LIBRARY,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    },
    /** Sets the clock while the process runs. */
    set,
    /** Removes what libfaketime has shared with the children of a process that was killed. */
    forget: (pid) =>
      Promise.all(
        [`faketime_shm_${pid}`, `sem.faketime_sem_${pid}`].map((name) =>
          rm(`/dev/shm/${name}`, { force: true }),
        ),
      ),
  }
}
