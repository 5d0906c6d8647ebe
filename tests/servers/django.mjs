import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Missing, startProcess, workplace } from './install.mjs'
import { fillForm } from './sign_in.mjs'

const run = promisify(execFile)

const fixture = fileURLToPath(new URL('django', import.meta.url))

/** @type {import('./driver.mjs').Server} */
export const django = {
  name: 'django-oauth-toolkit',
  async start(setup) {
    const started = await startProcess(await install(), `${fixture}/server.py`, setup)
    const requirements = await readFile(`${fixture}/requirements.txt`, 'utf8')
    return { ...started, version: /^django-oauth-toolkit==(\S+)/m.exec(requirements)[1] }
  },
  signIn: fillForm,
  config: ({ issuer }) => ({
    scope: 'orders',
    identity: 'none',
    metadata: {
      authorization_endpoint: `${issuer}/o/authorize/`,
      token_endpoint: `${issuer}/o/token/`,
      revocation_endpoint: `${issuer}/o/revoke_token/`,
    },
  }),
  api: '/api/me',
  features: {
    clientAuth: ['client_secret_basic', 'client_secret_post'],
    profile: { url: '/api/profile', sub: 'id', claims: ['username'] },
  },
  expected: {
    'profile address': 'sub: 1, username: alice',
    refresh: 'rotates',
    'second refresh': 'rotates',
    'old refresh token': '400 invalid_grant',
    'refresh after it': 'works',
    'lost response': 'provider_ended',
    'revoked at the server': '400 invalid_grant: provider_ended',
    logout: 'revokes: 400 invalid_grant',
  },
}

/** Installs the packages that requirements.txt names, with their digests. Resolves with the path of Python. */
async function install() {
  const folder = `${workplace}/django/venv`
  const python = `${folder}/bin/python`
  const requirements = await readFile(`${fixture}/requirements.txt`, 'utf8')
  const mark = `${folder}/installed.txt`
  if ((await readFile(mark, 'utf8').catch(() => '')) === requirements) return python
  console.log('    installing django')
  await run('python3', ['-m', 'venv', '--clear', folder]).catch((error) => {
    throw new Missing(
      `it needs python3 with the module venv, and \`python3 -m venv\` failed: ${error.message}`,
    )
  })
  const options = ['--quiet', '--require-hashes', '--only-binary=:all:', '--disable-pip-version-check']
  await run(python, ['-m', 'pip', 'install', ...options, '-r', `${fixture}/requirements.txt`])
  await writeFile(mark, requirements)
  return python
}
