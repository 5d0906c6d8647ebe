// A copy of the browser's profile, such as a thief of a disk or a backup has. Chromium encrypts neither IndexedDB nor the
// keys in it, so a stored session stays closed only if its key was never on the disk.
import assert from 'node:assert/strict'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { booted, call, serveApp, signIn } from '../support/app.mjs'
import { launchProfile } from '../support/browser.mjs'
import { openWithEscrow, serveEscrow } from '../support/escrow.mjs'

const time = { timeout: 60_000 }

let folder
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'strongroom-profile-'))
})
after(() => rm(folder, { recursive: true, force: true }))

const orders = (page, app) => call(page, `${app.api.url}orders`)

/** Opens a page of the app in the Chromium of a profile. */
async function open(app, path, profile) {
  const page = await profile.newPage()
  await page.goto(app.site.origin + path)
  return page
}

/**
 * Signs in with one profile and closes its Chromium. Resolves with the result of the same call in this profile, after a
 * reload, and in a copy of the profile.
 */
async function callInBoth(name, { persist, dpop }) {
  const app = await serveApp({
    kind: 'dedicated',
    config: { session: { persist }, ...(dpop && { dpop }) },
    provider: { dpop },
    api: { dpop },
  })
  if (persist === 'escrow') serveEscrow(app)
  const opened = { ...app, open: (path, profile) => open(app, path, profile) }
  try {
    const owner = await launchProfile(join(folder, name))
    const page = await (persist === 'escrow' ? openWithEscrow(opened, owner) : open(app, '/', owner))
    await signIn(page)
    await page.goto(`${app.site.origin}/?reload`)
    await booted(page)
    const original = await orders(page, app)
    await owner.close()

    await cp(join(folder, name), join(folder, `${name} copy`), { recursive: true })
    const thief = await launchProfile(join(folder, `${name} copy`))
    const copied = await open(app, '/', thief)
    await booted(copied)
    const inCopy = await orders(copied, app)
    await thief.close()
    return { original, inCopy }
  } finally {
    await app.close()
  }
}

// claim: device-6
test('not covered: a copied profile has the sealed session', time, async () => {
  const { original, inCopy } = await callInBoth('sealed', { persist: 'sealed' })
  assert.equal(original.value.status, 200)
  assert.equal(inCopy.value.status, 200)
})

// claim: device-6
test('not covered: the key for DPoP is in the copied profile', time, async () => {
  const { original, inCopy } = await callInBoth('dpop', { persist: 'sealed', dpop: true })
  assert.equal(original.value.status, 200)
  assert.equal(inCopy.value.status, 200)
})

// claim: device-6
test('a copied profile cannot open a session in escrow', time, async () => {
  const { original, inCopy } = await callInBoth('escrow', { persist: 'escrow' })
  assert.equal(original.value.status, 200)
  assert.equal(inCopy.error.code, 'login_required')
})
