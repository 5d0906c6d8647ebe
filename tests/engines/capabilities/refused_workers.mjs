/** Workers that the page's policy refuses: each engine reports them in its own way, and the error names the directive. */
import assert from 'node:assert/strict'
import { htmlWith } from '../../support/app.mjs'

/** The sources of each policy, and what the error says. */
const POLICIES = {
  worker: [`worker-src 'none'`, `its worker-src is "'none'"`],
  child: [`child-src 'none'`, `it has no worker-src, and its child-src is "'none'"`],
  script: ['', `it has no worker-src, and its script-src is "'nonce-…'"`],
}

function prepare({ site }) {
  for (const [name, [directive]] of Object.entries(POLICIES)) {
    const path = `/refused-${name}.html`
    site.files[path] = htmlWith('/tools.js').replace('<script', '<script nonce="a1b2"')
    site.headers[path] = {
      'Content-Security-Policy': `default-src 'none'; img-src data:; script-src 'nonce-a1b2'; ${directive}`,
    }
  }
}

async function see({ visit }) {
  for (const [name, [, message]] of Object.entries(POLICIES)) {
    const { tab } = await visit(`/refused-${name}.html`)
    for (const kind of ['shared', 'dedicated']) {
      const { error } = await tab.evaluate(async (kind) => settle(connect(create[kind])), kind)
      assert.equal(error.code, 'worker_failed')
      assert.ok(error.message.includes(message), `${kind}: ${error.message}`)
    }
  }
}

export const refusedWorkers = [
  {
    name: 'workers that the page’s policy refuses',
    prepare,
    capabilities: [{ name: 'a worker that the page’s policy refuses: the error names the directive', see }],
  },
]
