import assert from 'node:assert/strict'
import { present } from '../wire.mjs'
import { ensureSession } from './sign_in.mjs'

/** Signs out. A revoked refresh token must be refused. */
export async function logout(life) {
  const { page, proxy, since } = life
  await ensureSession(life)
  const { revoked } = await page.evaluate(() => auth.logout())
  assert.equal(await page.evaluate(() => auth.session), null)
  if (!revoked) return 'revokes nothing'
  const sent = proxy.requests.slice(since).map(({ sent }) => new URLSearchParams(sent))
  const token = sent.findLast((form) => form.has('token')).get('token')
  if (life.config.dpop) return 'revokes'
  const found = await present(life, token)
  assert.notEqual(found, 'accepted')
  return `revokes: ${found}`
}
