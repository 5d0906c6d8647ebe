/** The option that a message about an unknown one suggests. */
import { SESSION_OPTIONS } from '../../generated/options.js'

/**
 * Matches the core's line about an unknown option, and the next line, which lists the known options. A message about a
 * configuration has a line for each problem.
 */
const UNKNOWN = /^`(.*)`: there is no such option\n([\w ]+)$/gm

/** Replaces the list of known options, in the core's message about an unknown option, with a suggestion. */
export const suggest = (message: string): string =>
  message.replace(UNKNOWN, (text, option: string, known: string) => {
    // An option of `session` may be written outside of `session`.
    const all = option.includes('.') ? known : `${known} ${SESSION_OPTIONS}`
    const meant = closest(all, lastName(option))
    return text.slice(0, -known.length - 1) + (meant ? ` (did you mean \`${meant}\`?)` : '')
  })

const lastName = (option: string): string => option.slice(option.lastIndexOf('.') + 1)

/**
 * Returns the option in `known`, a list separated by spaces, that `name` most likely misspells: the closest one, and the
 * first of several that are equally close. Returns `undefined` if there is no such option.
 */
export const closest = (known: string, name: string): string | undefined => {
  let [best, fewest] = [undefined as string | undefined, Infinity]
  for (const one of known.split(' ')) {
    const difference = one ? differenceOf(lastName(one), name) : Infinity
    if (difference < fewest) [best, fewest] = [one, difference]
  }
  return best
}

/**
 * Returns how much two names differ, or `Infinity` if neither may be a misspelling of the other. They may differ in case,
 * in underscores, and in one or two letters in one place.
 */
const differenceOf = (one: string, other: string): number => {
  const [a, b] = [one, other].map((name) => [...name.toLowerCase().replace(/_/g, '')]) as [string[], string[]]
  const longer = Math.max(a.length, b.length)
  const same = sharedStart(a, b) + sharedStart(a.reverse(), b.reverse())
  return same + 2 >= longer && same * 2 >= longer ? longer - same : Infinity
}

const sharedStart = (a: string[], b: string[]): number => {
  let i = 0
  while (i < a.length && a[i] === b[i]) i++
  return i
}
