// Commands look for the programs that they need before they build anything.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import process from 'node:process'
import { test } from 'node:test'

const root = new URL('../..', import.meta.url)

test('bench edge names the missing Redis', { timeout: 600_000 }, () => {
  const env = { ...process.env, REDIS_SERVER_PATH: '/nowhere/redis-server' }
  const { status, stdout, stderr } = spawnSync('cargo', ['xtask', 'bench', 'edge'], {
    cwd: root,
    env,
    encoding: 'utf8',
  })
  assert.equal(status, 1, stderr)
  assert.match(stderr, /REDIS_SERVER_PATH is \/nowhere\/redis-server, which is not a file/)
  assert.doesNotMatch(stdout + stderr, /wasm-opt|\n\s+at /)
})
