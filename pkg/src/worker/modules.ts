/** The choice of the WebAssembly module for a configuration. */
import { EXTENDED_OPTIONS } from '../generated/options.js'

/** Returns true if the configuration has an option that only the extended module supports. */
export const needsExtended = (config: any): boolean =>
  EXTENDED_OPTIONS.split(' ').some((option) => {
    const [, parent, name, off] = /(?:(\w+)\.)?(\w+)=?(.*)/.exec(option)!
    return [parent ? config?.[parent] : config].flat().some((one) => one?.[name!] && one[name!] !== off)
  })
