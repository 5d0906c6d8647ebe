/** The lines about the provider. */
import { pinnedOf } from '../headers/endpoints.js'
import type { ProviderMetadata, VaultConfig } from '../worker/config.js'
import { checkClock } from './clock.js'
import { type Deployment, option } from './deployment.js'
import { type Document, locations, searchMetadata } from './discovery.js'
import { blockedUntilDeployed, describe, differencesOf, pinnedMembers } from './metadata/pinned.js'
import { checkClient } from './provider-client.js'
import { allowsOrigin, checkEndpoint, checkKeys, checkProfile, checkRevocation } from './provider-cors.js'
import { seenOf } from './requests.js'

/** Requests the provider's metadata. */
export const findMetadata = async (deployment: Deployment): Promise<void> => {
  const { config, requests, options } = deployment
  const origin = options.vaultFrame?.origin ?? deployment.origin
  deployment.discovery = await searchMetadata(config!.issuer, requests, { Origin: origin })
  const { document } = deployment.discovery
  if (document ?? config!.metadata) {
    deployment.metadata = usable(deployment, { ...document, ...config!.metadata })
  }
}

/** Returns metadata that the core would accept, with members that do not matter for a judgment of others. */
const acceptable = ({ issuer }: VaultConfig): Document => ({
  ...Object.fromEntries(REQUIRED.map((name) => [name, `${issuer.replace(/\/$/, '')}/${name}`])),
  issuer,
})

/** Leaves out the addresses that the core would not request. The core judges each of them as it does a token endpoint. */
const usable = (deployment: Deployment, document: Document): Partial<ProviderMetadata> => {
  const { judge, config, origin, worker = '/' } = deployment
  const isUsable = ([name, value]: [string, unknown]) =>
    !/_(endpoint|uri)$/.test(name) ||
    judge({ ...config, metadata: { ...acceptable(config!), token_endpoint: value } }, origin + worker) ===
      undefined
  return Object.fromEntries(Object.entries(document).filter(isUsable))
}

/** The members without which the core does not judge metadata. */
const REQUIRED = ['issuer', 'authorization_endpoint', 'token_endpoint', 'jwks_uri']

/** Lines that the core's own rules decide: for each, the members, and the line that fixes the configuration. */
const JUDGED: [
  id: string,
  members: string[],
  text: string,
  fix: (set: (name: string, value: unknown) => string, document: Document) => string,
][] = [
  [
    'issuer',
    ['issuer'],
    'the issuer is exactly the configured one',
    (set, { issuer }) => set('issuer', issuer),
  ],
  [
    'endpoints',
    ['authorization_endpoint', 'token_endpoint', 'jwks_uri'],
    'the endpoints are https URLs, or on this device',
    () => 'metadata: { … } in the configuration, with the right addresses',
  ],
  [
    's256',
    ['code_challenge_methods_supported'],
    'PKCE with S256',
    () => 'turn PKCE with S256 on at the provider: code_challenge_methods_supported must contain "S256"',
  ],
  [
    'algorithms',
    ['id_token_signing_alg_values_supported'],
    'the algorithms of ID tokens are supported',
    () => 'let the provider sign ID tokens with ES256 or RS256',
  ],
  [
    'revocation',
    ['revocation_endpoint'],
    'there is a revocation endpoint',
    (set) => `${set('metadata', { revocation_endpoint: 'https://…' })} in the configuration`,
  ],
  [
    'par',
    ['pushed_authorization_request_endpoint', 'require_pushed_authorization_requests'],
    'authorization requests are pushed (RFC 9126)',
    (set) => `${set('par', false)} in the configuration, unless the provider requires pushed requests`,
  ],
  [
    'iss',
    ['authorization_response_iss_parameter_supported'],
    'authorization responses name the issuer (RFC 9207)',
    () => 'let the provider announce authorization_response_iss_parameter_supported as a boolean',
  ],
]

/** Checks the provider. */
export const checkProvider = async (deployment: Deployment): Promise<void> => {
  const { report, config, discovery, metadata, options } = deployment
  if (!config) return
  if (!discovery?.document && !isComplete(config)) {
    const [url] = locations(config.issuer)
    report.fault(
      'provider.metadata',
      'the provider has no discovery document',
      `${seenOf(discovery!.reply)} for ${url}`,
      "correct `issuer`, or add metadata: { authorization_endpoint: 'https://…', token_endpoint: 'https://…', jwks_uri: 'https://…' }",
    )
    return
  }
  if (discovery?.document) {
    report.ok('provider.metadata', `${discovery.reply.url} has the provider's metadata`)
    allowsOrigin(deployment, 'provider.cors-metadata', discovery.reply)
  } else report.unused('provider.metadata', 'the configuration has the metadata')
  checkPinned(deployment)
  noteReplaced(deployment)
  judgeMembers(deployment, { ...(discovery?.document ?? {}), ...config.metadata })
  if (!metadata) return
  checkProofs(deployment)
  await checkKeys(deployment)
  await checkEndpoint(deployment, 'token', metadata.token_endpoint)
  await checkEndpoint(deployment, 'revocation', metadata.revocation_endpoint)
  await checkProfile(deployment)
  await checkRevocation(deployment)
  if (!options.probesToken) {
    report.unseen(
      'provider.cors-token-errors',
      'only a token request shows if its response allows this origin: --probe-token sends one that fails',
    )
  }
  checkClock(deployment, (await checkClient(deployment)) ?? discovery!.reply)
  if (/\boffline_access\b/.test(config.scope ?? '')) {
    report.unseen(
      'provider.refresh-tokens',
      'only a login shows if this public client gets refresh tokens: the console then says refresh_token_missing',
    )
  } else report.unused('provider.refresh-tokens', 'the scope has no offline_access')
}

/** Says which addresses of the configuration are others than those of the provider, such as of another environment. */
const noteReplaced = ({ report, config, discovery }: Deployment) => {
  const document = discovery?.document ?? {}
  const replaced = Object.entries(config!.metadata ?? {}).filter(
    ([name, url]) => /_(endpoint|uri)$/.test(name) && document[name] && document[name] !== url,
  )
  if (!replaced.length) return
  const all = replaced.map(([name, url]) => `${name} is ${url}, and not ${document[name]}`).join(', ')
  report.unseen(
    'provider.replaced',
    `by \`metadata\`, ${all}: only a login shows if that is right for ${config!.issuer}`,
  )
}

/** Compares the pinned metadata with the live document, before anything is merged. */
const checkPinned = ({ report, config, discovery, options }: Deployment) => {
  const id = 'provider.pinned'
  const { issuer, pinned } = config!
  const module = options.config !== undefined && !/\.json$/i.test(options.config)
  const command = `npx strongroom metadata ${module ? `${issuer} --out auth.metadata.ts` : `--config ${options.config ?? 'strongroom.json'}`}`
  if (pinned == null) {
    const isPinnable = discovery?.document && !isComplete(config!)
    report.unused(
      id,
      isPinnable
        ? `a first login waits for the provider's metadata, which can be pinned: ${command}`
        : 'no metadata that could be pinned',
    )
    return
  }
  if (!pinnedOf(config!)) {
    const seen = `pinned: ${JSON.stringify(pinned)?.slice(0, 200)}`
    report.fault(id, 'the vault ignores the pinned metadata', seen, command)
    return
  }
  if (!discovery?.document || discovery.failed) {
    report.unseen(id, 'without a discovery document, it is not known if the pinned metadata are up to date')
    return
  }
  const differences = differencesOf(pinned, pinnedMembers(discovery.document))
  const origins = blockedUntilDeployed(differences)
  const blocked = origins.length
    ? `, and until the next deployment the worker's headers block ${origins.join(' ')}`
    : ''
  report.check(
    id,
    `the pinned metadata of ${pinned.at} are the provider's`,
    differences.length ? `the provider's metadata have changed since ${pinned.at}${blocked}` : undefined,
    describe(differences).trimEnd(),
    `${command}, and deploy`,
  )
}

const isComplete = ({ metadata, identity }: VaultConfig) =>
  metadata !== undefined &&
  'authorization_endpoint' in metadata &&
  'token_endpoint' in metadata &&
  (identity !== undefined || ('issuer' in metadata && 'jwks_uri' in metadata))

/** Lets the core judge each member by itself, between members that it accepts. */
const judgeMembers = (deployment: Deployment, document: Document) => {
  const { report, judge, config, origin, worker = '/' } = deployment
  const good = acceptable(config!)
  for (const [id, members, text, fix] of JUDGED) {
    const line = `provider.${id}`
    const isRequired = members.some((name) => REQUIRED.includes(name))
    const present = members.filter((name) => document[name] != null && document[name] !== '')
    if (config!.identity && (id === 'algorithms' || (!document['issuer'] && id === 'issuer'))) {
      report.unused(line, 'there are no ID tokens')
      continue
    }
    if (!present.length && !isRequired) {
      absent(deployment, id, line, text)
      continue
    }
    if (id === 'par' && config!.par === false) {
      notPushed(deployment, line, document)
      continue
    }
    // The core counts a member that is null as missing.
    const own = Object.fromEntries(members.map((name) => [name, document[name] ?? null]))
    const fault = judge({ ...config, metadata: { ...good, ...own } }, origin + worker)
    report.check(
      line,
      text,
      fault &&
        (id === 'issuer' && present.length
          ? "the configured issuer is not exactly the provider's"
          : 'the core refuses the metadata'),
      (fault ?? '').replace('`metadata`: ', ''),
      fix((name, value) => option(deployment, name, value), document),
    )
  }
}

/** Adds the line about members that the metadata lacks. */
const absent = (deployment: Deployment, id: string, line: string, text: string) => {
  const { report, config } = deployment
  if (id === 's256' || id === 'algorithms') {
    report.unseen(
      line,
      `the metadata does not say which ${id === 's256' ? 'PKCE methods' : 'algorithms'} the provider supports`,
    )
  } else if (id === 'par' && config!.par === true) {
    const seen = 'no pushed_authorization_request_endpoint in the metadata'
    const fix = option(deployment, 'par', 'auto')
    report.fault(line, 'the provider takes no pushed requests, so each login fails', seen, fix)
  } else report.unused(line, `not announced: ${text}`)
}

/** Adds the line about a configuration without pushed requests. */
const notPushed = ({ report }: Deployment, line: string, document: Document) => {
  if (document['require_pushed_authorization_requests'] !== true)
    return report.unused(line, 'par: false: requests are not pushed')
  return report.fault(
    line,
    'the provider requires pushed requests, so each login fails',
    'par: false, and require_pushed_authorization_requests: true in the metadata',
    'remove `par` from the configuration',
  )
}

/** Checks proofs of possession, and the pinned algorithm of ID tokens. */
const checkProofs = (deployment: Deployment) => {
  const { report, config, discovery } = deployment
  const document = discovery?.document ?? {}
  const { idTokenSignedResponseAlg: pinned } = config!
  const algorithms = document['id_token_signing_alg_values_supported']
  if (pinned !== undefined && Array.isArray(algorithms)) {
    report.check(
      'provider.pinned-algorithm',
      `the provider signs ID tokens with ${pinned}`,
      algorithms.includes(pinned) ? undefined : `the provider does not sign ID tokens with ${pinned}`,
      `id_token_signing_alg_values_supported: ${algorithms.join(', ')}`,
      option(deployment, 'idTokenSignedResponseAlg', algorithms[0]),
    )
  }
  const id = 'provider.dpop'
  if (!config!.dpop) {
    report.unused(id, 'DPoP is off')
    return
  }
  const proofs = document['dpop_signing_alg_values_supported']
  if (!Array.isArray(proofs)) {
    report.unseen(
      id,
      'the metadata has no dpop_signing_alg_values_supported, so the provider may ignore proofs',
    )
    return
  }
  report.check(
    id,
    'the provider binds tokens to a key (ES256)',
    proofs.includes('ES256') ? undefined : 'the provider does not accept proofs with ES256',
    `dpop_signing_alg_values_supported: ${proofs.join(', ')}`,
    `${option(deployment, 'dpop', false)} in the configuration, or turn ES256 on at the provider`,
  )
}
