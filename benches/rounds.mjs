/** Measures functions against one another in turns, so that what slows the machine down slows all of them. */

/** How long one batch of one function takes, in milliseconds: many ticks of the clock, few of the scheduler's. */
const BATCH = 12
const ROUNDS = 31
const WARM_UP = 400

/** What the functions return goes here, so that no compiler may leave their work out. */
export let sink = 0

/**
 * @typedef {object} Contender
 * @property {string} name
 * @property {() => number | Promise<number>} run Does the work once and returns a number made of its outcome.
 */

/**
 * @param {Contender[]} contenders
 * @returns {Promise<number[][]>} For each contender, microseconds per run in each round.
 */
export async function measureInTurns(contenders) {
  const batches = []
  for (const { run } of contenders) batches.push(await prepare(run))
  const times = contenders.map(() => [])
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, batch] of batches.entries()) times[i].push(await batch())
  }
  return times
}

/** Warms `run` up; returns what runs a batch of it and resolves with microseconds per run. */
async function prepare(run) {
  const loop = run() instanceof Promise ? awaited : plain
  const start = performance.now()
  let count = 0
  while (performance.now() - start < WARM_UP) {
    await loop(run, 100)
    count += 100
  }
  const size = Math.ceil((count * BATCH) / (performance.now() - start))
  return async () => {
    const before = performance.now()
    await loop(run, size)
    return ((performance.now() - before) * 1000) / size
  }
}

/** A loop without `await` for what returns at once: waiting would cost it more than its work. */
function plain(run, count) {
  for (let i = 0; i < count; i++) sink ^= run()
}

async function awaited(run, count) {
  for (let i = 0; i < count; i++) sink ^= await run()
}
