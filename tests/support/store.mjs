/**
 * Creates the provider's storage in memory, as an adapter for oidc-provider. The storage outlives the `Provider`
 * object, so a new `Provider` with other signing keys keeps all sessions and tokens.
 *
 * @param {{ leewaySeconds: () => number, rows?: Map<string, object> }} options `leewaySeconds` returns the time in seconds during which a consumed
 *   refresh token is accepted again, so that a client can repeat a request whose response was lost. `rows` may outlive
 *   the process.
 * @returns {(model: string) => object}
 */
export function createStore({ leewaySeconds, rows = new Map() }) {
  const withGrant = (grantId) => [...rows].filter(([, row]) => row.payload.grantId === grantId)
  const findBy = (model, member, value) =>
    [...rows.values()].find((row) => row.model === model && row.payload[member] === value)?.payload

  return (model) => {
    const key = (id) => `${model}:${id}`
    return {
      async upsert(id, payload) {
        rows.set(key(id), { model, payload })
      },
      async find(id) {
        const row = rows.get(key(id))
        if (!row) return undefined
        const inLeeway = row.consumedAt && Date.now() < row.consumedAt + leewaySeconds() * 1000
        return inLeeway ? { ...row.payload, consumed: undefined } : row.payload
      },
      findByUid: async (uid) => findBy(model, 'uid', uid),
      findByUserCode: async (userCode) => findBy(model, 'userCode', userCode),
      async consume(id) {
        const row = rows.get(key(id))
        if (row.consumedAt) return
        const consumedAt = Date.now()
        const payload = { ...row.payload, consumed: Math.floor(consumedAt / 1000) }
        rows.set(key(id), { ...row, payload, consumedAt })
      },
      async destroy(id) {
        rows.delete(key(id))
      },
      async revokeByGrantId(grantId) {
        for (const [rowKey, row] of withGrant(grantId)) if (row.model === model) rows.delete(rowKey)
      },
    }
  }
}
