/** Vitest, in each environment, and the handlers of MSW in a unit test. */
import { authConfig } from './auth_config.mjs'
import { readGuide } from './guide.mjs'
import { checkTypes, createProject, runScript, versionOf, write } from './project.mjs'

const guide = await readGuide('docs/testing-your-app.md')
const readme = await readGuide('README.md')

/** Tests that are appended to the guide's test file. */
const FURTHER = `
import { loadOrders } from './orders'

test('modules get the auth of the world', async () => {
  world.signIn()
  expect(await loadOrders()).toEqual([])
  expect(world.calls.length).toBe(1)
})

test('fake timers do not affect a world', async () => {
  vi.useFakeTimers()
  try {
    world.signIn()
    await world.advance('31m')
    expect(world.auth.state.endReason).toBe('idle')
    ${guide.inline('vi.setSystemTime')}
    expect(Date.now()).toBe(world.now)
  } finally {
    vi.useRealTimers()
  }
  expect(Math.abs(Date.now() - world.now)).toBeGreaterThan(1000)
})

test('a click is activity', async () => {
  if (!globalThis.document) return
  world.signIn()
  await world.advance('20m')
  document.body.dispatchEvent(new MouseEvent('pointerdown', { bubbles: true }))
  await world.advance('20m')
  expect(world.auth.state.session).not.toBe(null)
})
`

/** A test of components that get the world's `auth` from a provider, with the guide's calls of `act()`. */
const components = () => `
import { act, render, screen } from '@testing-library/react'
import { expect, test, vi } from 'vitest'
import { AuthProvider, useAuth, useSession } from 'strongroom/react'
import { testWorld } from 'strongroom/testing'
import { config } from './auth.config'

function App() {
  const session = useSession()
  const { endReason } = useAuth()
  return <p>{session ? 'signed in' : (endReason ?? 'signed out')}</p>
}

test('components follow the world', async () => {
  const complaints = vi.spyOn(console, 'error')
  const world = await testWorld(config)
  ${guide.block('<AuthProvider auth={world.auth}>')}
  screen.getByText('signed out')
  ${guide.inline('act(() => world.signIn())')}
  screen.getByText('signed in')
  ${guide.inline("act(() => world.advance('31m'))")}
  screen.getByText('idle')
  expect(complaints).not.toHaveBeenCalled()
  world.close()
})
`

const handlers = () => `
import { getResponse, http, HttpResponse } from 'msw'
import { expect, test } from 'vitest'
import { testWorld } from 'strongroom/testing'
import { config } from './auth.config'

const handlers = [http.get('https://api.example.com/v1/orders', () => HttpResponse.json([{ id: 1041 }]))]

test('handlers of MSW respond to a world', async () => {
  const world = await testWorld(config, { ${guide.inline('getResponse(handlers')} })
  world.signIn()
  const response = await world.auth.fetch('https://api.example.com/v1/orders')
  expect(await response.json()).toEqual([{ id: 1041 }])
  await expect(world.auth.fetch('https://api.example.com/v1/other')).rejects.toThrow(TypeError)
  world.close()
})
`

const MOCK = 'vi.mock('

const config = await authConfig()

const files = () => ({
  'auth.config.ts': config,
  'auth.ts': readme.block('export const auth = createAuth'),
  'auth.worker.ts': readme.block('// src/auth.worker.ts'),
  'session.test.ts': guide.block('// session.test.ts'),
  'orders.test.ts': guide.block(MOCK) + FURTHER,
  'msw.test.ts': handlers(),
})

/** Runs Vitest in an environment with changed files. */
async function runVitest({ tarball }, environment, changed = {}) {
  const folder = await createProject('vitest', tarball)
  await write(folder, {
    ...files(),
    ...(environment !== 'node' && { 'components.test.tsx': components() }),
    ...changed,
  })
  await runScript(folder, 'node_modules/vitest/vitest.mjs', ['run', `--environment=${environment}`], {
    node: 24,
  })
  return versionOf(folder, 'vitest')
}

async function checkVitest({ tarball }) {
  const folder = await createProject('vitest', tarball)
  await write(folder, { ...files(), 'components.test.tsx': components() })
  return checkTypes(folder, [
    'auth.worker.ts',
    'session.test.ts',
    'orders.test.ts',
    'msw.test.ts',
    'components.test.tsx',
  ])
}

const without = (text, line) => {
  if (!text.includes(line)) throw new Error(`no ${line}`)
  return text
    .split('\n')
    .filter((other) => !other.includes(line))
    .join('\n')
}

export const RECIPES = [
  ...['node', 'jsdom', 'happy-dom'].map((environment) => ({
    name: `Vitest, ${environment}`,
    node: 24,
    run: (tools) => runVitest(tools, environment),
  })),
  { name: 'types of docs/testing-your-app.md', run: checkVitest },
  {
    name: 'Vitest without vi.mock',
    node: 24,
    fails: /modules get the auth of the world/,
    run: (tools) => runVitest(tools, 'node', { 'orders.test.ts': without(files()['orders.test.ts'], MOCK) }),
  },
  {
    name: 'Vitest without act()',
    node: 24,
    fails: /Unable to find an element with the text: signed in/,
    run: (tools) =>
      runVitest(tools, 'jsdom', {
        'components.test.tsx': components().replace('act(() => world.signIn())', 'world.signIn()'),
      }),
  },
]
