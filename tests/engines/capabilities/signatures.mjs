/** Tests a check of signatures that the vault leaves to the platform. */
import assert from 'node:assert/strict'

const CURVES = { 'P-256': 'SHA-256', 'P-384': 'SHA-384', 'P-521': 'SHA-512' }

const offCurve = {
  name: 'no signature is valid for a public key whose point is not on its curve (P-256, P-384, P-521)',
  async see({ visit }) {
    const { tab } = await visit('/empty')
    const seen = await tab.evaluate(async (curves) => {
      const data = new TextEncoder().encode('anything')
      const outcomes = []
      for (const [namedCurve, hash] of Object.entries(curves)) {
        const algorithm = { name: 'ECDSA', namedCurve, hash }
        const { publicKey, privateKey } = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
        const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', publicKey)
        const signature = await crypto.subtle.sign(algorithm, privateKey, data)
        const attempt = async (point) => {
          let key
          try {
            key = await crypto.subtle.importKey('jwk', { kty, crv, ...point }, algorithm, true, ['verify'])
          } catch {
            return 'not imported'
          }
          return crypto.subtle.verify(algorithm, key, signature, data).catch(() => false)
        }
        const other = y.slice(0, 20) + (y[20] === 'A' ? 'B' : 'A') + y.slice(21)
        outcomes.push([await attempt({ x, y }), await attempt({ x, y: other })])
      }
      return outcomes
    }, CURVES)
    // Control: a signature verifies with the correct point of the curve.
    assert.deepEqual(
      seen.map(([right]) => right),
      [true, true, true],
    )
    const off = new Set(seen.map(([, wrong]) => wrong))
    assert.ok(!off.has(true) && off.size === 1, JSON.stringify(seen))
    return off.has(false) ? 'imported, and verifies nothing' : 'not imported'
  },
}

/** @type {import('../suite.mjs').Group[]} */
export const signatures = [{ name: 'signatures', capabilities: [offCurve] }]
