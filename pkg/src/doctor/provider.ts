/** The lines about the provider. */
import { pinnedOf } from '../headers/endpoints.js'
import type { ProviderMetadata, VaultConfig } from '../worker/config.js'
import { providerClock } from './clock.js'
import { type Deployment, option } from './deployment.js'
import { type Document, locations, searchMetadata } from './discovery.js'
import { blockedUntilDeployed, describe, differencesOf, pinnedMembers } from './metadata/pinned.js'
import { checkClient } from './provider-client.js'
import { allowsOrigin, checkEndpoint, checkKeys, checkProfile, revocation } from './provider-cors.js'
import { check, fault, unseen, unused, type Verdict } from './report.js'
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

/** A line that the core's own rules decide: the members, and the line that fixes the configuration. */
type MemberLine = [
  id: string,
  members: string[],
  text: string,
  fix: (set: (name: string, value: unknown) => string, document: Document) => string,
]

const MEMBER_LINES: MemberLine[] = [
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
    report.add('provider.cors-metadata', allowsOrigin(deployment, discovery.reply))
  } else report.unused('provider.metadata', 'the configuration has the metadata')
  await report.judge({ 'provider.pinned': pinnedMetadata, 'provider.replaced': replaced }, deployment)
  const document: Record<string, unknown> = { ...discovery?.document, ...config.metadata }
  for (const row of MEMBER_LINES) report.add(`provider.${row[0]}`, judgeMembers(deployment, document, row))
  if (!metadata) return
  await report.judge({ 'provider.pinned-algorithm': algorithm, 'provider.dpop': proofs }, deployment)
  await checkKeys(deployment)
  await checkEndpoint(deployment, 'token', metadata.token_endpoint)
  await checkEndpoint(deployment, 'revocation', metadata.revocation_endpoint)
  await checkProfile(deployment)
  report.add('provider.logout', await revocation(deployment))
  if (!options.probesToken) {
    report.unseen(
      'provider.cors-token-errors',
      'only a token request shows if its response allows this origin: --probe-token sends one that fails',
    )
  }
  const reply = (await checkClient(deployment)) ?? discovery!.reply
  report.add('provider.clock', providerClock(deployment, reply))
  if (/\boffline_access\b/.test(config.scope ?? '')) {
    const scopes = document['scopes_supported']
    // A provider may support scopes that it does not list (RFC 8414 section 2).
    const isUnlisted = Array.isArray(scopes) && !scopes.includes('offline_access')
    report.unseen(
      'provider.refresh-tokens',
      `${isUnlisted ? 'the provider does not list offline_access in scopes_supported, so try a login without it; ' : ''}only a login shows if this public client gets refresh tokens: the console then says refresh_token_missing`,
    )
  } else report.unused('provider.refresh-tokens', 'the scope has no offline_access')
}

/** Says which addresses of the configuration are others than those of the provider, such as of another environment. */
const replaced = ({ config, discovery }: Deployment): Verdict | undefined => {
  const document = discovery?.document ?? {}
  const others = Object.entries(config!.metadata ?? {}).filter(
    ([name, url]) => /_(endpoint|uri)$/.test(name) && document[name] && document[name] !== url,
  )
  if (!others.length) return undefined
  const all = others.map(([name, url]) => `${name} is ${url}, and not ${document[name]}`).join(', ')
  return unseen(`by \`metadata\`, ${all}: only a login shows if that is right for ${config!.issuer}`)
}

/** Compares the pinned metadata with the live document, before anything is merged. */
const pinnedMetadata = ({ config, discovery, files }: Deployment): Verdict => {
  const { issuer, pinned } = config!
  const { vault: file = 'strongroom.json' } = files
  const command = `npx strongroom metadata ${/\.json$/i.test(file) ? `--config ${file}` : `${issuer} --out auth.metadata.ts`}`
  if (pinned == null) {
    const isPinnable = discovery?.document && !isComplete(config!)
    return unused(
      isPinnable
        ? `a first login waits for the provider's metadata, which can be pinned: ${command}`
        : 'no metadata that could be pinned',
    )
  }
  if (!pinnedOf(config!)) {
    const seen = `pinned: ${JSON.stringify(pinned)?.slice(0, 200)}`
    return fault('the vault ignores the pinned metadata', seen, command)
  }
  if (!discovery?.document || discovery.failed)
    return unseen('without a discovery document, it is not known if the pinned metadata are up to date')
  const differences = differencesOf(pinned, pinnedMembers(discovery.document))
  const origins = blockedUntilDeployed(differences)
  const blocked = origins.length
    ? `, and until the next deployment the worker's headers block ${origins.join(' ')}`
    : ''
  return check(
    `the pinned metadata of ${pinned.at} are the provider's`,
    differences.length > 0 && `the provider's metadata have changed since ${pinned.at}${blocked}`,
    describe(differences).trimEnd(),
    `${command}, and deploy`,
  )
}

const isComplete = ({ metadata, identity }: VaultConfig) =>
  metadata !== undefined &&
  'authorization_endpoint' in metadata &&
  'token_endpoint' in metadata &&
  (identity !== undefined || ('issuer' in metadata && 'jwks_uri' in metadata))

/** Lets the core judge the members of a row. All other members are acceptable ones, so that only these can be refused. */
const judgeMembers = (
  deployment: Deployment,
  document: Document,
  [id, members, text, fix]: MemberLine,
): Verdict => {
  const { judge, config, origin, worker = '/' } = deployment
  const isRequired = members.some((name) => REQUIRED.includes(name))
  const present = members.filter((name) => document[name] != null && document[name] !== '')
  if (config!.identity && (id === 'algorithms' || (!document['issuer'] && id === 'issuer')))
    return unused('there are no ID tokens')
  if (!present.length && !isRequired) return absent(deployment, id, text)
  if (id === 'par' && config!.par === false) return notPushed(document)
  // The core counts a member that is null as missing.
  const own = Object.fromEntries(members.map((name) => [name, document[name] ?? null]))
  const refusal = judge({ ...config, metadata: { ...acceptable(config!), ...own } }, origin + worker)
  return check(
    text,
    refusal &&
      (id === 'issuer' && present.length
        ? "the configured issuer is not exactly the provider's"
        : 'the core refuses the metadata'),
    (refusal ?? '').replace('`metadata`: ', ''),
    fix((name, value) => option(deployment, name, value), document),
  )
}

/** Judges metadata that has none of the members of a row. */
const absent = (deployment: Deployment, id: string, text: string): Verdict => {
  if (id === 's256' || id === 'algorithms')
    return unseen(
      `the metadata does not say which ${id === 's256' ? 'PKCE methods' : 'algorithms'} the provider supports`,
    )
  if (id !== 'par' || deployment.config!.par !== true) return unused(`not announced: ${text}`)
  return fault(
    'the provider takes no pushed requests, so each login fails',
    'no pushed_authorization_request_endpoint in the metadata',
    option(deployment, 'par', 'auto'),
  )
}

/** Judges a configuration without pushed requests. */
const notPushed = (document: Document): Verdict =>
  document['require_pushed_authorization_requests'] === true
    ? fault(
        'the provider requires pushed requests, so each login fails',
        'par: false, and require_pushed_authorization_requests: true in the metadata',
        'remove `par` from the configuration',
      )
    : unused('par: false: requests are not pushed')

/** Judges the pinned algorithm of ID tokens. */
const algorithm = (deployment: Deployment): Verdict | undefined => {
  const { idTokenSignedResponseAlg: pinned } = deployment.config!
  const algorithms = deployment.discovery?.document?.['id_token_signing_alg_values_supported']
  if (pinned === undefined || !Array.isArray(algorithms)) return undefined
  return check(
    `the provider signs ID tokens with ${pinned}`,
    !algorithms.includes(pinned) && `the provider does not sign ID tokens with ${pinned}`,
    `id_token_signing_alg_values_supported: ${algorithms.join(', ')}`,
    option(deployment, 'idTokenSignedResponseAlg', algorithms[0]),
  )
}

/** Judges proofs of possession. */
const proofs = (deployment: Deployment): Verdict => {
  const { config, discovery } = deployment
  if (!config!.dpop) return unused('DPoP is off')
  const supported = discovery?.document?.['dpop_signing_alg_values_supported']
  if (!Array.isArray(supported))
    return unseen('the metadata has no dpop_signing_alg_values_supported, so the provider may ignore proofs')
  return check(
    'the provider binds tokens to a key (ES256)',
    !supported.includes('ES256') && 'the provider does not accept proofs with ES256',
    `dpop_signing_alg_values_supported: ${supported.join(', ')}`,
    `${option(deployment, 'dpop', false)} in the configuration, or turn ES256 on at the provider`,
  )
}
