import { handler } from '../../handler'

export const runtime = 'edge'

export async function GET(request: Request) {
  const session = await handler.session(request, process.env)
  return new Response(`Hello, ${session?.claims.name ?? 'stranger'}`)
}
