// webpack's own command is another package, webpack-cli.
import { copyFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import webpack from 'webpack'
import config from './webpack.config.js'

const stats = await promisify(webpack)(config)
if (stats.hasErrors()) throw new Error(stats.toString('errors-only'))
await copyFile('index.html', 'dist/index.html')
