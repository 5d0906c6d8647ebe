/** The clients of docs/clients.md that tests/browser/clients.all.test.mjs does not cover, with a world for each. */
import { copyFile } from 'node:fs/promises'
import { transform } from 'esbuild'
import { root } from '../packaging/tarball.mjs'
import { readGuide } from './guide.mjs'
import { checkTypes, createProject, runScript, versionOf, write } from './project.mjs'

const guide = await readGuide('docs/clients.md')

const TITLE = 'HTTP clients'
const CACHES = 'Clear caches when the user changes'

/** Returns the code of a client's configuration in the guide's table. */
const configOf = (name) => guide.row(name, TITLE)[0][0]

/** Returns the code of the vault's error in the guide's table. */
const errorIn = (name, place = 0) => guide.row(name, TITLE)[1][place]

const codes = () => {
  const [rtkStatus, rtkExpected] = guide.row('RTK Query', TITLE)[1]
  return `
import { Client, cacheExchange, fetchExchange } from '@urql/core'
import { GraphQLClient } from 'graphql-request'
import { createConnectTransport, createGrpcWebTransport } from '@connectrpc/connect-web'
import { httpLink } from '@trpc/client'
import { fetchBaseQuery } from '@reduxjs/toolkit/query'

export const createConnect = (auth, baseUrl) => ${configOf('Connect')}
export const createGrpcWeb = (auth, baseUrl) => ${configOf('gRPC-web')}
export const createUrql = (auth, url) => ${configOf('urql')}
export const createGraphqlRequest = (auth, url) => ${configOf('graphql-request')}
export const createTrpcLink = (auth, url) => ${configOf('tRPC')}
export const createRtkBaseQuery = (auth, baseUrl) => ${configOf('RTK Query')}
export const poll = (auth) => ({ ${guide.inline('background: true })')} })
export const errorOfTable = {
  urql: (error) => ${errorIn('urql')},
  'graphql-request': (error) => ${errorIn('graphql-request')},
  tRPC: (error) => ${errorIn('tRPC')},
  Connect: (error) => ${errorIn('Connect')},
  'gRPC-web': (error) => ${errorIn('gRPC-web')},
  'RTK Query': (error) => [${rtkStatus}, '${rtkExpected}'],
}
`
}

/** The property that contains the vault's error differs between the versions of Apollo Client. */
const apollo = (path, place) => `
import { ApolloClient, gql, HttpLink, InMemoryCache } from '${path}'
export { ApolloClient, gql, InMemoryCache }
export const createLink = (auth, uri) => ${configOf('Apollo Client')}
export const vaultError = (error) => ${errorIn('Apollo Client', place)}
`

/** The clients whose configuration in the table is an expression. */
const NAMES = ['urql', 'Apollo Client', 'graphql-request', 'tRPC', 'Connect', 'gRPC-web', 'RTK Query']

/** The names by which the guide's code reads each cache. */
const CACHE_NAMES = {
  'TanStack Query': 'queryClient',
  SWR: 'mutate',
  'Apollo Client': 'apollo',
  'RTK Query': 'store, api',
}

/**
 * The guide's two ways to clear each of these caches: by a hook of the bindings, and by an event.
 *
 * @param {string[]} names
 * @param {string} core The modules of Apollo Client, whose paths differ between its versions.
 * @param {string} react
 */
const caches = (names, core, react) => {
  const lineOf = (name) => guide.row(name, CACHES)[0][0]
  const block = guide.block('useUserChange', CACHES)
  const hook = /^useUserChange\(.*\)(?= +\/\/)/m.exec(block)[0]
  const event = guide.inline('userChanged })').replace('…', 'clear()')
  const entries = names.map(
    (name) => `
  '${name}': {
    hook: ({ ${CACHE_NAMES[name]} }) => ${hook.replace(lineOf('TanStack Query'), lineOf(name))},
    clear: ({ ${CACHE_NAMES[name]} }) => ${lineOf(name)},
  },`,
  )
  return `
${/^import .* from '[^']*'/m.exec(block)[0]}
export const loadApollo = async () => ({ ...(await import('${core}')), ...(await import('${react}')) })
export const onEvent = async (auth, clear) => { ${event} }
export const caches = {${entries.join('')}
}
`
}

const RETRY = 'new QueryClient('

const tanstack = () => `
${guide.block(RETRY, 'Retries').replace(RETRY, `export const createClient = () => ${RETRY}`)}
export const options = (auth, url) => ({ ${configOf('TanStack Query')} })
`

/** The guide's class, whose `auth` is a parameter here. */
async function signalr() {
  const { code } = await transform(guide.block('class VaultHttpClient', 'SignalR'), { loader: 'ts' })
  const [imports] = code.match(/^import [^]*? from .*$/m)
  return `${imports}
export const createHttpClient = (auth) => {
${code.replace(imports, '')}
return new VaultHttpClient()
}
`
}

const retries = () => `
import ky from 'ky'
import { StrongroomError } from 'strongroom'
export const createKy = (auth) => ${guide.block('shouldRetry')}
`

/** A module with all blocks and rows, for the check of their types. */
const types = () => `
import { HttpLink } from '@apollo/client'
import { createConnectTransport, createGrpcWebTransport } from '@connectrpc/connect-web'
import { fetchBaseQuery } from '@reduxjs/toolkit/query'
import { httpLink } from '@trpc/client'
import { cacheExchange, Client, fetchExchange } from '@urql/core'
import { GraphQLClient } from 'graphql-request'
import type { Auth } from 'strongroom'

declare const auth: Auth
declare const url: string
declare const file: File
const uri = url
const baseUrl = url
export const clients = [${NAMES.map(configOf).join(',\n')}]
export const query = new QueryClient().fetchQuery({ queryKey: [], ${configOf('TanStack Query')} })
${guide.block(RETRY, 'Retries')}
${guide.block('const VaultWebSocket')}
${guide.block('const connection = new HubConnectionBuilder()')}
${guide.block('class VaultHttpClient', 'SignalR')}
${guide.block('const httpStack: HttpStack').replace(/import { auth } .*/, '')}
${guide.block('new Uppy()')}
export const used = [connection, VaultEventSource, VaultHttpClient]
`

async function checkClients({ tarball }) {
  const project = await createProject('clients', tarball)
  await write(project, { 'types.ts': types() })
  return checkTypes(project, ['types.ts'])
}

/** Runs a test file of the fixture with a module that is written from the guide. */
async function runClients(
  { tarball },
  { fixture = 'clients', file, module, code, tool, change = (text) => text },
) {
  const project = await createProject(fixture, tarball)
  await write(project, { [module]: change(await code()) })
  if (fixture !== 'clients') {
    for (const name of [file, 'world.mjs']) {
      await copyFile(new URL(`clients/${name}`, import.meta.url), `${project}/${name}`)
    }
  }
  await runScript(project, '--test', [file])
  return versionOf(tool === 'ky' ? root : project, tool)
}

const TABLE = { file: 'clients.test.mjs', module: 'codes.mjs', code: codes }
const TANSTACK = {
  file: 'tanstack.test.mjs',
  module: 'tanstack.mjs',
  code: tanstack,
  tool: '@tanstack/react-query',
}
const CACHE = { file: 'caches.test.mjs', module: 'caches.mjs', tool: 'swr' }
const APOLLO = { file: 'apollo.test.mjs', module: 'apollo.mjs', tool: '@apollo/client' }

export const RECIPES = [
  {
    name: 'urql, graphql-request, tRPC, Connect, RTK Query',
    run: (tools) => runClients(tools, { ...TABLE, tool: '@urql/core' }),
  },
  {
    name: 'Apollo Client',
    run: (tools) => runClients(tools, { ...APOLLO, code: () => apollo('@apollo/client', 0) }),
  },
  {
    name: 'Apollo Client 3',
    run: (tools) =>
      runClients(tools, {
        ...APOLLO,
        fixture: 'apollo-3',
        code: () => apollo('@apollo/client/core/index.js', 1),
      }),
  },
  {
    name: 'caches of two users',
    run: (tools) =>
      runClients(tools, {
        ...CACHE,
        code: () => caches(Object.keys(CACHE_NAMES), '@apollo/client', '@apollo/client/react'),
      }),
  },
  {
    name: 'caches of two users, Apollo Client 3',
    run: (tools) =>
      runClients(tools, {
        ...CACHE,
        fixture: 'apollo-3',
        tool: '@apollo/client',
        code: () =>
          caches(['Apollo Client'], '@apollo/client/core/index.js', '@apollo/client/react/index.js'),
      }),
  },
  { name: 'TanStack Query', run: (tools) => runClients(tools, TANSTACK) },
  {
    name: 'TanStack Query without the option',
    fails: /with the option, login_required reaches the app at once/,
    run: (tools) => runClients(tools, { ...TANSTACK, change: (text) => text.replace(/retry: .* < 3/, '') }),
  },
  {
    name: 'ky and ofetch, retries',
    run: (tools) =>
      runClients(tools, { file: 'retries.test.mjs', module: 'retries.mjs', code: retries, tool: 'ky' }),
  },
  { name: 'types of docs/clients.md', run: checkClients },
  {
    name: 'SignalR without sockets',
    run: (tools) =>
      runClients(tools, {
        file: 'signalr.test.mjs',
        module: 'signalr.mjs',
        code: signalr,
        tool: '@microsoft/signalr',
      }),
  },
]
