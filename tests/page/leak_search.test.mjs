// The search of the leak tests finds a refresh token in the spellings of forms.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { search } from '../support/leak.mjs'

// RFC 6749 A.17 allows spaces and special characters in refresh tokens.
const value = 'UegLVbIf ~:)\\|!612769+% end of it'

for (const [name, write] of Object.entries({
  'as it is': () => value,
  'of a form, with + for a space': () => new URLSearchParams({ token: value }).toString(),
  'of a form, with %20 for a space': () => encodeURIComponent(value),
})) {
  test(`a refresh token is found ${name}`, () => {
    const found = search({ here: [`a ${write()} b`] }, [{ kind: 'refresh_token', value }])
    assert.ok(found.some(({ kind }) => kind === 'refresh_token'))
    assert.deepEqual(search({ here: [`a ${write().slice(0, 20)}`] }, [{ kind: 'refresh_token', value }]), [])
  })
}
