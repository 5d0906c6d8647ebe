/** Measures functions in turns, so that other load on the machine slows all of them. */

/**
 * The duration of one batch of a function in milliseconds. A batch is long compared with the clock's resolution, and
 * short compared with the scheduler's time slices.
 */
const BATCH = 12
const ROUNDS = 31
const WARM_UP = 400

/** Receives the functions' results, so that no compiler can remove their work. */
export let sink = 0

/**
 * @typedef {object} Contender
 * @property {string} name
 * @property {() => number | Promise<number>} [run] Does the work once and returns a number that depends on the result.
 * @property {(count: number) => Promise<number>} [measure] Does the work `count` times and resolves with the
 *   microseconds. Needed without `run`.
 */

/**
 * @param {Contender[]} contenders
 * @returns {Promise<number[][]>} For each contender, microseconds per run in each round.
 */
export async function measureInTurns(contenders) {
  const batches = []
  for (const { run, measure = timed(run) } of contenders) batches.push(await prepare(measure))
  const times = contenders.map(() => [])
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, batch] of batches.entries()) times[i].push(await batch())
  }
  return times
}

/** Warms a contender up. Resolves with a function that runs a batch, and itself resolves with microseconds per run. */
async function prepare(measure) {
  const start = performance.now()
  let count = 0
  while (performance.now() - start < WARM_UP) {
    await measure(100)
    count += 100
  }
  const size = Math.ceil((count * BATCH) / (performance.now() - start))
  return async () => (await measure(size)) / size
}

/** Returns a function that runs `run` `count` times, and resolves with the microseconds. */
function timed(run) {
  const loop = run() instanceof Promise ? awaited : plain
  return async (count) => {
    const before = performance.now()
    await loop(run, count)
    return (performance.now() - before) * 1000
  }
}

/** A loop without `await` for synchronous functions: waiting would cost more than their work. */
function plain(run, count) {
  for (let i = 0; i < count; i++) sink ^= run()
}

async function awaited(run, count) {
  for (let i = 0; i < count; i++) sink ^= await run()
}
