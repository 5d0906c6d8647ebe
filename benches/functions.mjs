/** Compares native functions of the core with libraries for the same tasks, in Node. */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { decodeJwt } from 'jose'
import { jwtDecode } from 'jwt-decode'
import { calculatePKCECodeChallenge, generateRandomCodeVerifier } from 'oauth4webapi'
import pkceChallenge from 'pkce-challenge'
import { measureInTurns } from './rounds.mjs'
import { ratios, spread } from './stats.mjs'
import { microseconds, speedRatio } from './table.mjs'
import { TOKENS } from './tokens.mjs'

const PKCE = {
  what: 'PKCE pair',
  call: ['pkce'],
  others: [
    {
      name: 'oauth4webapi',
      async run() {
        const challenge = await calculatePKCECodeChallenge(generateRandomCodeVerifier())
        return challenge.charCodeAt(0)
      },
    },
    {
      name: 'pkce-challenge',
      async run() {
        const { code_challenge: challenge } = await pkceChallenge()
        return challenge.charCodeAt(0)
      },
    },
  ],
}

const jwt = (token) => ({
  what: `JWT of ${token.length} B, parsed`,
  call: ['jwt', token],
  others: [
    { name: 'jose', run: () => decodeJwt(token).exp },
    { name: 'jwt-decode', run: () => jwtDecode(token).exp },
  ],
})

/** @returns {Promise<import('./table.mjs').Row[]>} */
export async function measureFunctions(progress) {
  const native = startNative()
  const rows = []
  for (const { what, call, others } of [PKCE, ...TOKENS.map(jwt)]) {
    progress(what)
    const contenders = [{ name: 'strongroom', measure: (count) => native.measure(call, count) }, ...others]
    const [own, ...times] = await measureInTurns(contenders)
    rows.push(
      ...times.map((theirs, i) => ({
        what,
        own: microseconds(spread(own)),
        peer: `${others[i].name} ${microseconds(spread(theirs))}`,
        ratio: speedRatio(ratios(theirs, own)),
      })),
    )
  }
  native.end()
  return rows
}

/** Starts `benches/native.rs`, optimized as the vault's module is. */
function startNative() {
  const options = ['--package', 'strongroom-tests', '--bench', 'native']
  const { stdin, stdout } = spawn('cargo', ['bench', '--quiet', ...options], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const lines = createInterface(stdout)[Symbol.asyncIterator]()
  return {
    async measure([name, ...args], count) {
      stdin.write(`${[name, count, ...args].join(' ')}\n`)
      const { value, done } = await lines.next()
      if (done) throw new Error('the native program has ended: its error is above')
      return Number(value)
    },
    end: () => stdin.end(),
  }
}
