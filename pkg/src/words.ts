/**
 * What the vault's errors say. A file of its own, which a page loads with its first error: until then a
 * code and some values are all that is needed.
 */
import { advice, texts } from '../glue/words.js'

/** Puts the texts where the core left a character for each (src/words.rs). */
export const spell = (message: string): string => message.replace(/\p{Co}/gu, (coded) => texts[coded] ?? '…')

/** What happened, and what to do. */
export const sentences = (code: string, message: string): string =>
  `${spell(message)}. ${advice[code] ?? 'See docs/errors.md.'}`
