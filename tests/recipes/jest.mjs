/** Jest with the guide's configuration, in both of its environments, and with Babel and SWC. */
import { rename } from 'node:fs/promises'
import { readGuide } from './guide.mjs'
import { createProject, runScript, versionOf, write } from './project.mjs'

const guide = await readGuide('docs/testing-your-app.md')
const readme = await readGuide('README.md')

/** Tests that are appended to the guide's test file. */
const TESTS = `
import { loadOrders } from './orders'

test('modules get the auth of the world', async () => {
  mockWorld.signIn()
  expect(await loadOrders()).toEqual([])
  await mockWorld.advance('31m')
  expect(mockWorld.auth.state.endReason).toBe('idle')
  await expect(loadOrders()).rejects.toMatchObject({ code: 'login_required' })
})

test('fake timers do not affect a world', async () => {
  jest.useFakeTimers()
  mockWorld.signIn()
  await mockWorld.advance('31m')
  expect(mockWorld.auth.state.endReason).toBe('idle')
})

test('a click is activity', async () => {
  if (!globalThis.document) return
  mockWorld.signIn()
  await mockWorld.advance('20m')
  document.body.dispatchEvent(new MouseEvent('pointerdown', { bubbles: true }))
  await mockWorld.advance('20m')
  expect(mockWorld.auth.state.session).not.toBe(null)
})
`

const CONFIG = 'transformIgnorePatterns'
const SWC = `import config from './jest.config.js'
export default { ...config, transform: { '^.+\\\\.[jt]sx?$': '@swc/jest' } }
`

async function runJest({ tarball }, { compiler = 'babel-jest', environment, without, babelrc }) {
  const folder = await createProject('jest', tarball)
  const config = guide.block(CONFIG, 'Jest')
  const lines = config.split('\n').filter((line) => !without || !line.includes(without))
  if (without && lines.length !== config.split('\n').length - 1) throw new Error(`no line with ${without}`)
  await write(folder, {
    'auth.js': readme.block('export const auth = createAuth'),
    'jest.config.js': lines.join('\n'),
    'swc.config.js': SWC,
    'orders.test.js': guide.block('jest.mock(') + TESTS,
  })
  if (babelrc) await rename(`${folder}/babel.config.json`, `${folder}/.babelrc.json`)
  const file = compiler === 'babel-jest' ? 'jest.config.js' : 'swc.config.js'
  const args = [`--config=${file}`, ...(environment ? [`--env=${environment}`] : [])]
  await runScript(folder, 'node_modules/jest/bin/jest.js', args)
  return versionOf(folder, 'jest')
}

export const RECIPES = [
  { name: 'Jest, jsdom, babel-jest', run: (tools) => runJest(tools, {}) },
  { name: 'Jest, jsdom, @swc/jest', run: (tools) => runJest(tools, { compiler: '@swc/jest' }) },
  { name: 'Jest, node, babel-jest', run: (tools) => runJest(tools, { environment: 'node' }) },
  {
    name: 'Jest without transformIgnorePatterns',
    fails: /The file contains ESM syntax/,
    run: (tools) => runJest(tools, { without: CONFIG }),
  },
  {
    name: 'Jest with .babelrc.json',
    fails: /The file contains ESM syntax|Cannot use import statement outside a module/,
    run: (tools) => runJest(tools, { babelrc: true }),
  },
  {
    name: 'Jest with jest-environment-jsdom',
    fails: /(TextDecoder|TextEncoder|Response|fetch) is not defined/,
    run: (tools) => runJest(tools, { environment: 'jsdom' }),
  },
]
