// The parts of the soak. Each is a process of its own, except the API, which counts in the process of the harness.
import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startApi } from '../support/api.mjs'
import { startServer } from '../support/edge/child.mjs'
import { newClock } from '../support/edge/clock.mjs'
import { siteOfGuide, startNginx } from '../support/edge/nginx.mjs'
import { freePort } from '../support/listen.mjs'
import { publicClient } from '../support/provider.mjs'
import { sendJson } from '../support/responses.mjs'
import { startStore } from './store.mjs'

const AUDIENCE = 'urn:strongroom:soak:orders'

/** The app's origin as browsers see it. */
const ORIGIN = 'https://app.example.com'

/** Seconds. Refreshes happen all the time. */
const ACCESS_TOKEN_SECONDS = 20

/**
 * Seconds for which the provider accepts a refresh token again, as most providers do. Without a leeway, a session whose
 * process dies during a refresh is lost. A token that is sent twice for another reason is found in the ledger.
 */
const LEEWAY_SECONDS = 60

const at = (name) => fileURLToPath(new URL(name, import.meta.url))

/** A process that ends and starts again. */
class Part {
  #start
  #forget
  #running

  /**
   * @param {() => ReturnType<typeof startServer>} start
   * @param {(pid: number) => unknown} [forget] Removes what a process has left that ended.
   */
  constructor(start, forget = () => {}) {
    this.#start = start
    this.#forget = forget
  }

  async start() {
    this.#running = await this.#start()
  }

  /** Ends the process by a signal. */
  async end(signal) {
    await this.#running.end(signal)
    await this.#forget(this.#running.pid)
  }

  pause = () => this.#running.pause()
  goOn = () => this.#running.goOn()
  signal = (name) => process.kill(this.#running.pid, name)
}

/** Starts all parts. Their files are in `folder`. */
export async function startWorld(folder) {
  const ends = []
  const stop = async () => {
    while (ends.length) await ends.pop()()
  }
  const added = async (part) => {
    await part.start()
    ends.push(() => part.end('SIGKILL'))
    return part
  }
  try {
    const secret = randomBytes(32).toString('base64url')
    const ports = [await freePort(), await freePort()]
    const [front, ofProvider, ofApi] = [await freePort(), await freePort(), await freePort()]
    const issuer = `http://127.0.0.1:${ofProvider}`
    await mkdir(join(folder, 'provider'))
    const provider = await added(newProvider({ folder: join(folder, 'provider'), port: ofProvider, secret }))
    const api = newApi(issuer, ofApi)
    await api.start()
    ends.push(api.stop)
    const store = await startStore(folder)
    ends.push(store.stop)

    const clock = await newClock(join(folder, 'clock'))
    const env = {
      REDIS_URL: store.url,
      ISSUER: issuer,
      ORIGIN,
      UPSTREAM: `http://127.0.0.1:${ofApi}/v1/`,
      CLIENT_SECRET: secret,
      COOKIE_KEYS: randomBytes(32).toString('base64'),
    }
    const newInstance = (index, clock) => {
      const own = {
        ...env,
        ...clock?.env,
        PORT: `${ports[index]}`,
        LOG: join(folder, `instance-${index + 1}`),
      }
      const start = () => startServer(process.execPath, [at('instance.mjs')], { env: own, cwd: folder })
      return added(new Part(start, clock?.forget))
    }
    const instances = [await newInstance(0), await newInstance(1, clock)]
    const nginx = await startNginx(await siteOfGuide(ports, front))
    ends.push(nginx.stop)
    const url = `http://127.0.0.1:${front}`
    while (!(await fetch(`${url}/auth/health/ready`).catch(() => {}))?.ok);
    return {
      /** The argument for `new Visitor()`. */
      place: { origin: ORIGIN, urls: [url] },
      ledger: join(folder, 'provider', 'ledger'),
      provider,
      store,
      api,
      instances,
      /** The clock of the second instance. */
      clock,
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

function newProvider({ folder, port, secret }) {
  const client = publicClient({
    client_id: 'web',
    client_secret: secret,
    token_endpoint_auth_method: 'client_secret_basic',
    redirect_uris: [`${ORIGIN}/auth/callback`],
  })
  const options = {
    folder,
    port,
    audience: AUDIENCE,
    clients: [client],
    accessTokenSeconds: ACCESS_TOKEN_SECONDS,
    leewaySeconds: LEEWAY_SECONDS,
  }
  const args = [at('provider.mjs'), JSON.stringify(options)]
  return new Part(() => startServer(process.execPath, args, { env: {}, cwd: folder }))
}

/** Returns an API that checks each token and counts its requests. */
function newApi(issuer, port) {
  const counts = { accepted: 0, refused: 0 }
  let running, timer
  const count = () => {
    for (const { claims, status } of running.requests) {
      if (claims) counts.accepted++
      else if (status === 401) counts.refused++
    }
    running.clear()
  }
  return {
    counts,
    async start() {
      running = await startApi({ issuer, audience: AUDIENCE, allowedOrigins: [], port })
      running.on('order', ({ response, claims }) => sendJson(response, 201, { sub: claims.sub }))
      timer = setInterval(count, 5000)
    },
    async stop() {
      clearInterval(timer)
      await running.close()
      count()
    },
  }
}
