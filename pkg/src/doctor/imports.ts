/** The static imports of a module, which a browser loads before it runs the module. */
import { Script } from 'node:vm'

/** The start of V8's error message for a static import in a script that is not a module. */
const REFUSED = 'Cannot use import statement'

/**
 * Returns true if a module has static imports, or `undefined` if it cannot be parsed. Only a parser tells code from strings
 * and comments. Node's own parser reads modules only to run them, so the code is parsed as a function that never runs.
 */
export const importsOthers = (code: string): boolean | undefined => {
  const body = code
    // A function cannot have these. In strings and comments, what replaces them changes nothing.
    .replace(/\bimport\s*\.\s*meta\b/g, 'this')
    .replace(/\bexport\s*(?=\*|\{[^{}]*\}\s*from\b)/g, 'import ')
    .replace(/\bexport\s*\{[^{}]*\}/g, ';')
    .replace(/\bexport\s+default\b/g, '_=')
    .replace(/\bexport\s+(?=(async|class|const|function|let|var)\b)/g, '')
  try {
    new Script(`async()=>{${body}\n}`)
    return false
  } catch (error) {
    return (error as Error).message.startsWith(REFUSED) || undefined
  }
}
