/** Statistics of a list of measurements. */

/** @param {number[]} values */
export const median = (values) => percentile(values, 50)

/**
 * Returns the value that `rank` percent of the values do not exceed, interpolated between two values.
 *
 * @param {number[]} values
 * @param {number} rank 0 to 100.
 */
export function percentile(values, rank) {
  const sorted = values.toSorted((a, b) => a - b)
  const position = ((sorted.length - 1) * rank) / 100
  const below = Math.floor(position)
  const above = Math.ceil(position)
  return sorted[below] + (sorted[above] - sorted[below]) * (position - below)
}

/**
 * @typedef {{ median: number, min: number, max: number }} Spread
 * @param {number[]} values
 * @returns {Spread}
 */
export function spread(values) {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) }
}

/**
 * Divides the numerator of each round by the denominator of the same round, and returns the spread of these ratios.
 * Other load on a machine affects both values of a round, so the ratios are steadier than the values.
 *
 * @param {number[]} numerators
 * @param {number[]} denominators
 */
export function ratios(numerators, denominators) {
  return spread(numerators.map((value, round) => value / denominators[round]))
}
