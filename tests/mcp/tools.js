import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'

/** Lists the tools of an MCP server, and calls the first one, with this `fetch`. */
export async function useTools(url, fetch) {
  const client = new Client(
    { name: 'strongroom', version: '1.0.0' },
    { versionNegotiation: { mode: { pin: '2026-07-28' } } },
  )
  try {
    await client.connect(new StreamableHTTPClientTransport(new URL(url), { fetch }))
    const { tools } = await client.listTools()
    await client.callTool({ name: tools[0].name, arguments: {} })
  } finally {
    await client.close()
  }
}
