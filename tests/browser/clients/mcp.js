import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'

/** Connects the SDK's client to an MCP server. */
export async function connectTools(url, options) {
  const client = new Client({ name: 'a test', version: '1.0.0' })
  await client.connect(new StreamableHTTPClientTransport(new URL(url), options))
  return client
}

/** Calls tools at the same time. Resolves with their texts, or with the names of the errors. */
export const callAll = (client, names) =>
  Promise.all(
    names.map((name) =>
      client.callTool({ name }).then(
        ({ content }) => content[0].text,
        ({ constructor }) => constructor.name,
      ),
    ),
  )
