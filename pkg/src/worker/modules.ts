/** The choice of the WebAssembly module for a configuration. */
import { EXTENDED_OPTIONS, STORED_OPTIONS } from '../generated/options.js'

/** Returns the smallest module that supports the configuration: the default, stored or extended module. */
export const moduleFor = (config: any): 'default' | 'stored' | 'extended' =>
  has(config, EXTENDED_OPTIONS) ? 'extended' : has(config, STORED_OPTIONS) ? 'stored' : 'default'

const has = (config: any, options: string): boolean =>
  options.split(' ').some((option) => {
    const [, parent, name, off] = /(?:(\w+)\.)?(\w+)=?(.*)/.exec(option)!
    return [parent ? config?.[parent] : config]
      .flat()
      .some((one) => one?.[name!] && !off!.split('|').includes(one[name!]))
  })
