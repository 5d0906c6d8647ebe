/**
 * Writes the static demo and the playground to target/static, each in a folder with a `_headers` file. The headers name
 * the origin of the site, whose root has both folders: without a parameter, localhost with any port.
 *
 *   node www/static/write.mjs https://docs.example.com
 */
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { buildStatic, headersFile } from './build.mjs'

const TARGET = new URL('../../target/static/', import.meta.url)

/** The origin of the site on this machine, where it may have any port. */
const LOCAL = 'http://localhost'

export async function writeStatic(origin = LOCAL) {
  const files = await buildStatic()
  for (const folder of ['demo', 'playground']) {
    files[`/${folder}/_headers`] = headersFile(folder, { origin }).replace(
      /http:\/\/localhost(?=[/;\n ])/g,
      'http://localhost:*',
    )
  }
  await rm(TARGET, { recursive: true, force: true })
  for (const [path, content] of Object.entries(files)) {
    const file = new URL(`.${path}`, TARGET)
    await mkdir(new URL('.', file), { recursive: true })
    await writeFile(file, content)
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await writeStatic(process.argv[2])
