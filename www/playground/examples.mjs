/**
 * The example configurations: those at the top of the guides in docs/providers, with a stored session, which README.md
 * recommends for most apps.
 */
import { readFile } from 'node:fs/promises'
import { runInNewContext } from 'node:vm'

/** The guides, by the names that the page shows. */
const GUIDES = {
  Keycloak: 'keycloak',
  Auth0: 'auth0',
  Okta: 'okta',
  'Microsoft Entra ID': 'entra-id',
  'Amazon Cognito': 'cognito',
  ZITADEL: 'zitadel',
  authentik: 'authentik',
  Logto: 'logto',
  'Ory Hydra': 'hydra',
  'AT Protocol': 'at-protocol',
}

/** Resolves with the configurations by name. */
export async function readExamples() {
  const examples = {}
  for (const [name, guide] of Object.entries(GUIDES)) {
    const text = await readFile(new URL(`../../docs/providers/${guide}.md`, import.meta.url), 'utf8')
    const [code] = text.match(/^vault\(\{\n[^]*?^\}\)$/m)
    runInNewContext(code, { vault: (configuration) => (examples[name] = stored(configuration)) })
  }
  return examples
}

/** Returns a configuration with a stored session, above its APIs. */
function stored({ apis, ...configuration }) {
  return { ...configuration, session: { persist: 'sealed', ...configuration.session }, apis }
}
