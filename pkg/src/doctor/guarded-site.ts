/**
 * The lines about a site behind a proxy that asks the handler about each request (docs/oauth2-proxy.md). The doctor listens
 * in place of the site, and sends requests through the running proxy. It compares what it sent with what arrives.
 */
import { createServer, type Response, type Server } from 'node:http'
import { type Deployment, handlerBase } from './deployment.js'
import { Failure, type SiteOptions } from './options.js'
import { check, fault, unseen, type Verdict } from './report.js'
import { isPrivateUrl, random, type Reply } from './requests.js'

/** The header with which the doctor finds its own requests. */
const ID = 'x-strongroom-doctor'

/** A value that the proxy must remove or replace. */
const FORGED = 'doctor-forged'

const FILE = 'compare the file of your proxy with the one in docs/oauth2-proxy.md'

const WINDOW = { 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': 'document', Accept: 'text/html' }
const OWN = { 'Sec-Fetch-Site': 'same-origin', 'Sec-Fetch-Mode': 'cors', 'Sec-Fetch-Dest': 'empty' }

/** Checks a guarded site. @throws Failure if the address of the site cannot be used. */
export const checkGuardedSite = async (deployment: Deployment, options: SiteOptions): Promise<void> => {
  const { origin, handlerConfig, options: line } = deployment
  const isOwn = [handlerConfig?.origin].flat().includes(origin)
  const isSafe = line.url.protocol === 'https:' || isPrivateUrl(line.url)
  if (options.cookie !== undefined && !(isOwn && isSafe)) {
    throw new Failure(
      `STRONGROOM_COOKIE is not sent to ${origin}: it must be https or on this machine, and \`origin\` of the configuration`,
    )
  }
  const arrived = new Map<string, Response['headers']>()
  const server = await listen(options, arrived)
  try {
    const { report } = deployment
    const site = new Site(deployment, arrived)
    report.add('site.strangers', await strangers(site))
    report.add('site.checks', await hiddenChecks(site, options))
    const { cookie } = options
    if (cookie === undefined) {
      const why =
        'without the header Cookie of a signed-in user in STRONGROOM_COOKIE, no request reaches the site'
      report.add('site.headers', unseen(why))
      return
    }
    report.add('site.headers', await forgedHeaders(site, cookie))
    report.add('site.elsewhere', await otherSites(site, cookie))
  } finally {
    server.closeAllConnections()
    server.close()
  }
}

const listen = (options: SiteOptions, arrived: Map<string, Response['headers']>): Promise<Server> =>
  new Promise((resolve, reject) => {
    const { host, port } = options
    const server = createServer(({ headers }, response) => {
      const id = headers[ID]
      if (typeof id === 'string') arrived.set(id, headers)
      // A request of a user must not seem to have reached the site.
      else response.statusCode = 503
      response.setHeader('cache-control', 'no-store')
      response.end('strongroom doctor')
    })
    const refuse = ({ code }: { code?: string }) =>
      reject(new Failure(`--site ${host}:${port} cannot be used (${code}): stop the site first`))
    server.once('error', refuse).listen(port, host, () => resolve(server))
  })

/** The site, as requests through the proxy reach it. */
class Site {
  readonly deployment: Deployment
  readonly #arrived: Map<string, Response['headers']>

  constructor(deployment: Deployment, arrived: Map<string, Response['headers']>) {
    this.deployment = deployment
    this.#arrived = arrived
  }

  /** The headers about the user, in lower case. */
  get identity(): string[] {
    const guards = Object.values(this.deployment.handlerConfig?.guards ?? {})
    return guards.flatMap(({ identity }) => Object.keys(identity ?? {})).map((name) => name.toLowerCase())
  }

  /** Sends a request. Resolves with the response, and with the headers that reached the site, if it was reached. */
  async send(path: string, headers: Record<string, string>, method = 'GET') {
    const { requests, origin } = this.deployment
    const id = random()
    const reply = await requests.send(origin + path, { method, headers: { ...headers, [ID]: id } })
    return { reply, got: this.#arrived.get(id) }
  }

  /** Returns headers that a client makes up. */
  forged(): Record<string, string> {
    const names = ['authorization', ...this.identity]
    const spelled = this.identity.map((name) => name.replaceAll('-', '_'))
    const all = [...names, ...spelled].map((name) => [name, FORGED] as const)
    return {
      ...Object.fromEntries(all),
      'X-Strongroom-Check': 'doctor',
      'X-Forwarded-Uri': '/doctor',
      'X-Forwarded-Host': 'doctor.invalid',
      'X-Forwarded-Method': 'GET',
    }
  }
}

/** Returns true for a response that the proxy has from the check. Any other may come from another server. */
const isRefused = ({ deployment }: Site, { status, redirect }: Reply): boolean =>
  status === 401 ||
  status === 403 ||
  redirect?.split('?')[0] === `${deployment.origin}${handlerBase(deployment)}/login`

const notSeen = ({ status }: Reply) =>
  `the status is ${status}, and the request did not arrive here: --site must be the address at which the proxy expects the site`

/** Judges if requests without a session stay outside. */
const strangers = async (site: Site): Promise<Verdict> => {
  const attempts: [string, string, Record<string, string>][] = [
    ['GET', 'that opens a page', { ...WINDOW, 'Sec-Fetch-Site': 'none' }],
    ['GET', 'of a script', OWN],
    ['GET', 'with forged headers', { ...OWN, ...site.forged() }],
    ['POST', 'of a script', { ...OWN, Origin: site.deployment.origin }],
  ]
  const passed: string[] = []
  for (const [method, what, headers] of attempts) {
    const { reply, got } = await site.send('/', headers, method)
    if (got) passed.push(`a ${method} request ${what} reached the site`)
    else if (!isRefused(site, reply)) return unseen(notSeen(reply))
  }
  return check(
    'no request without a session reaches the site',
    passed.length > 0 && 'requests without a session reach the site',
    passed.join('\n'),
    FILE,
  )
}

/** Judges if the proxy publishes no address that answers as a check. */
const hiddenChecks = async (site: Site, { cookie }: SiteOptions): Promise<Verdict> => {
  const names = Object.keys(site.deployment.handlerConfig?.guards ?? {})
  const base = handlerBase(site.deployment)
  const paths = [
    '/.strongroom-check',
    ...names.flatMap((name) => [`/${name}`, `/${name}/nginx`, `${base}/${name}`]),
  ]
  const shown: string[] = []
  for (const path of paths) {
    const headers = { ...OWN, ...site.forged(), ...(cookie !== undefined && { Cookie: cookie }) }
    const { reply } = await site.send(path, headers)
    if (reply.status === 0) return unseen(`the proxy does not respond at ${path}`)
    if (reply.header('authorization') !== undefined)
      shown.push(`${reply.status} for ${path}, with Authorization`)
  }
  return check(
    'no published address responds as a check',
    shown.length > 0 && 'the access token can be read at an address of the proxy',
    shown.join('\n'),
    `only the proxy itself may reach handler.check: ${FILE}`,
  )
}

/** Judges what reaches the site of a signed-in user's request, whose other headers are made up. */
const forgedHeaders = async (site: Site, cookie: string): Promise<Verdict> => {
  const own = site.deployment.handlerConfig?.cookie?.name ?? 'strongroom'
  const connection = { Connection: ['close', 'authorization', ...site.identity].join(', ') }
  const wrong = new Set<string>()
  for (const more of [{}, connection]) {
    const { reply, got } = await site.send('/', { ...OWN, ...site.forged(), ...more, Cookie: cookie })
    if (!got) {
      const why = `${reply.status} for a request with STRONGROOM_COOKIE: sign in again, and copy the header Cookie of a request`
      return unseen(why)
    }
    for (const [name, value] of Object.entries(got)) {
      if (`${value}`.includes(FORGED)) wrong.add(`${name} is what the client sent`)
    }
    if (!`${got.authorization}`.startsWith('Bearer ')) wrong.add('Authorization has no access token')
    const names = `${got.cookie ?? ''}`.split(';').map((pair) => pair.trim().split('=')[0]!)
    const isOwn = (name: string) => new RegExp(`^(?:__Host-(?:Http-)?)?${own}(?:[.-]|$)`).test(name)
    if (names.some(isOwn)) wrong.add("Cookie has the handler's cookies: the site can act as its users")
  }
  return check(
    'the site gets the token and the user, and nothing that a client makes up',
    wrong.size > 0 && 'the site gets headers that it must not get, or lacks some',
    [...wrong].join('\n'),
    FILE,
  )
}

/** Judges if the proxy passes on what the handler needs to recognize requests of other sites. */
const otherSites = async (site: Site, cookie: string): Promise<Verdict> => {
  const elsewhere = {
    'Sec-Fetch-Site': 'cross-site',
    'Sec-Fetch-Mode': 'no-cors',
    Origin: 'https://doctor.invalid',
  }
  const passed: string[] = []
  for (const method of ['GET', 'POST']) {
    const headers = { ...elsewhere, 'Sec-Fetch-Dest': 'image', Cookie: cookie }
    const { reply, got } = await site.send('/', headers, method)
    if (got) passed.push(`a ${method} request of another site reached the site`)
    else if (!isRefused(site, reply)) return unseen(notSeen(reply))
  }
  if (!passed.length) return check("other sites' requests do not reach the site", false, '', '')
  const fix =
    'let the proxy pass Origin and Sec-Fetch-* to handler.check unchanged, and the method in X-Forwarded-Method'
  return fault("other sites' requests reach the site", passed.join('\n'), fix)
}
