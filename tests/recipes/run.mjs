/**
 * Runs the code of the guides: docs/testing-your-app.md, docs/react-router.md and docs/clients.md. Each recipe is a project of a user, in
 * which the packed npm package and the recipe's tools are installed.
 *
 *   node tests/recipes/run.mjs [--lock] [<name> …]
 *
 * With names, runs only the recipes whose names contain one of them. With `--lock`, writes the lockfiles again instead.
 */
import { mkdir, readdir } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { reasonToSkip } from '../packaging/matrix.mjs'
import { pack } from '../packaging/tarball.mjs'
import { workplace, writeLock } from './project.mjs'

/**
 * A recipe.
 *
 * @typedef {object} Recipe
 * @property {string} name
 * @property {(tools: { tarball: string }) => Promise<string>} run Resolves with the tool's version.
 * @property {number} [node] The major version of Node that the tools need, if 20 is too old.
 * @property {RegExp} [fails] For a control, which must fail: matches the message of its error.
 */

const { values, positionals } = parseArgs({ options: { lock: { type: 'boolean' } }, allowPositionals: true })

if (values.lock) {
  const folders = await readdir(new URL('.', import.meta.url), { withFileTypes: true })
  for (const entry of folders) if (entry.isDirectory()) await writeLock(entry.name)
} else await runAll(await chosen(positionals))

/** Resolves with the recipes whose names contain one of these names, or with all. */
async function chosen(names) {
  const files = [
    'vitest',
    'jest',
    'storybook',
    'playwright',
    'token-handler',
    'react-router',
    'clients',
    'sockets',
  ]
  const modules = await Promise.all(files.map((file) => import(`./${file}.mjs`)))
  /** @type {Recipe[]} */
  const recipes = modules.flatMap(({ RECIPES }) => RECIPES)
  const isChosen = ({ name }) => names.some((part) => name.toLowerCase().includes(part.toLowerCase()))
  const found = names.length ? recipes.filter(isChosen) : recipes
  if (found.length) return found
  throw new Error(
    `no recipe is named ${names.join(' or ')}, only ${recipes.map(({ name }) => name).join(', ')}`,
  )
}

async function runAll(recipes) {
  await mkdir(workplace, { recursive: true })
  const { path: tarball } = await pack(workplace)
  const table = []
  for (const recipe of recipes) {
    console.log(`  … ${recipe.name}`)
    const start = performance.now()
    const { version, error, skipped } = await outcome(recipe, { tarball })
    const seconds = ((performance.now() - start) / 1000).toFixed(1)
    const result = error ? 'FAILED' : (skipped ?? (recipe.fails ? 'fails, as it must' : 'passed'))
    console.log(`  ${error ? '✗' : '✓'} ${recipe.name}  ${result}  ${seconds} s`)
    if (error) {
      console.error(error.message.slice(-4000))
      process.exitCode = 1
    }
    table.push([recipe.name, version ?? '', result, seconds])
  }
  console.log('\n| recipe | version | result | seconds |\n|---|---|---|---|')
  for (const cells of table) console.log(`| ${cells.join(' | ')} |`)
}

/** Runs a recipe. A control must fail for its own reason. */
async function outcome({ run, fails, node }, tools) {
  const reason = await reasonToSkip({ node })
  if (reason) return { skipped: `skipped: ${reason}` }
  try {
    const version = await run(tools)
    return fails ? { error: new Error('this control must fail, but it passed') } : { version }
  } catch (error) {
    if (!fails) return { error }
    return fails.test(error.message)
      ? {}
      : { error: new Error(`the control fails for another reason: ${error.message}`) }
  }
}
