/** Compares `strongroom/core` with libraries for the same tasks, in Node. */
import { readFile } from 'node:fs/promises'
import { decodeJwt } from 'jose'
import { jwtDecode } from 'jwt-decode'
import { calculatePKCECodeChallenge, generateRandomCodeVerifier } from 'oauth4webapi'
import pkceChallenge from 'pkce-challenge'
import { generatePkce, jwtStatus, ready } from '../pkg/dist/core.js'
import { measureInTurns } from './rounds.mjs'
import { ratios, spread } from './stats.mjs'
import { microseconds, speedRatio } from './table.mjs'
import { NOW, TOKENS } from './tokens.mjs'

const PKCE = {
  what: 'PKCE pair',
  gates: { oauth4webapi: 6 },
  aims: { oauth4webapi: 20 },
  contenders: [
    { name: 'strongroom', run: () => generatePkce().codeChallenge.charCodeAt(0) },
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

/** Checks, as the code of a library's user would, if a token is still valid. */
const isCurrent = ({ exp, nbf = 0 }) => exp > NOW && nbf <= NOW

const status = (token) => ({
  what: `JWT status, ${token.length} B token`,
  gates: { jose: 1.5 },
  aims: { jose: 2 },
  contenders: [
    { name: 'strongroom', run: () => Number(jwtStatus(token, NOW).status === 'valid') },
    { name: 'jose', run: () => Number(isCurrent(decodeJwt(token))) },
    { name: 'jwt-decode', run: () => Number(isCurrent(jwtDecode(token))) },
  ],
})

/** @returns {Promise<import('./table.mjs').Row[]>} */
export async function measureCore(progress) {
  await ready(await readFile(new URL('../pkg/dist/strongroom_core_bg.wasm', import.meta.url)))
  for (const token of TOKENS) checkAgreement(token)
  const rows = []
  for (const group of [PKCE, ...TOKENS.map(status)]) {
    progress(group.what)
    rows.push(...(await compare(group)))
  }
  return rows
}

/** Checks that all contenders for the status of a JWT consider this token valid. Runs before the measurement. */
function checkAgreement(token) {
  const verdicts = status(token).contenders.map(({ run }) => run())
  if (verdicts.some((verdict) => verdict !== 1))
    throw new Error(`not all consider the token valid: ${verdicts}`)
}

async function compare({ what, gates, aims, contenders }) {
  const [own, ...others] = await measureInTurns(contenders)
  return others.map((times, i) => {
    const { name } = contenders[i + 1]
    return {
      what,
      own: microseconds(spread(own)),
      peer: `${name} ${microseconds(spread(times))}`,
      ratio: speedRatio(ratios(times, own)),
      gate: gates[name],
      aim: aims[name],
    }
  })
}
