/** The provider's endpoints, and the client's redirect URI. */
import { OPTIONAL, REQUESTED } from '../generated/metadata.js'
import type { ProviderMetadata } from '../worker/config.js'
import { invalid, isEndpoint, originOf } from './checks.js'
import type { HeaderConfig, HeaderOptions } from './options.js'

/** The endpoints of the worker that a vault ignores if the provider's own document has no usable address for them. */
const IGNORED: readonly string[] = OPTIONAL.filter((name) => (REQUESTED as readonly string[]).includes(name))

/**
 * Returns the configuration's pinned metadata, or `undefined` without pinned metadata that a vault uses. A vault without
 * them still works, so a flaw is not an error here.
 */
export const pinnedOf = ({ issuer, identity, pinned }: HeaderConfig): HeaderConfig['pinned'] => {
  if (typeof pinned !== 'object' || pinned === null || pinned.issuer !== issuer) return undefined
  const { authorization_endpoint, token_endpoint, jwks_uri } = pinned
  const required = [authorization_endpoint, token_endpoint, ...(identity === undefined ? [jwks_uri] : [])]
  return required.every(isEndpoint) ? pinned : undefined
}

/** Returns the provider's metadata: the pinned members, those that replace them, and those of the configuration. */
export const endpointsOf = (
  config: HeaderConfig,
  { metadata = {} }: Pick<HeaderOptions, 'metadata'>,
): Partial<ProviderMetadata> => ({
  ...only(pinnedOf(config), ([name, value]) => !/_(endpoint|uri)$/.test(name) || isEndpoint(value)),
  ...only(metadata, ([name, value]) => !IGNORED.includes(name) || isEndpoint(value)),
  ...config.metadata,
})

const only = (members: object = {}, isUsed: (member: [string, unknown]) => boolean) =>
  Object.fromEntries(Object.entries(members).filter(isUsed))

/** Returns the origins to which a page navigates for a login. */
export const providerOrigins = (config: HeaderConfig, options: HeaderOptions): string[] => {
  const { authorization_endpoint: endpoint } = endpointsOf(config, options)
  return [
    originOf('issuer', config.issuer),
    ...(endpoint == null ? [] : [originOf('metadata.authorization_endpoint', endpoint)]),
  ]
}

/** Returns the redirect URI. A path is one of the app's origin. `option` is the option that needs it, for the error. */
export const redirectUriOf = (
  { redirectUri }: HeaderConfig,
  { origin }: Pick<HeaderOptions, 'origin'>,
  option: string,
): URL => {
  if (typeof redirectUri === 'string' && URL.canParse(redirectUri, origin))
    return new URL(redirectUri, origin)
  throw invalid(
    `\`redirectUri\` is '${redirectUri}', and with \`${option}\` must be a path of the app${option === 'exits' ? ", or an address of the vault's origin" : ''}`,
  )
}
