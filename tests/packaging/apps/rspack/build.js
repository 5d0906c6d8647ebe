// Rspack's own command is another package, @rspack/cli.
import { copyFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { rspack } from '@rspack/core'
import config from './rspack.config.js'

const stats = await promisify(rspack)(config)
if (stats.hasErrors()) throw new Error(stats.toString('errors-only'))
await copyFile('index.html', 'dist/index.html')
