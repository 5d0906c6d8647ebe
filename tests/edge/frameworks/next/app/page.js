import { headers } from 'next/headers'
import { sessionFrom } from 'strongroom/edge/next'
import { handler } from '../handler.js'

export default async function Page() {
  const session = await sessionFrom(handler, await headers())
  return <p>{`Hello, ${session?.claims.name ?? 'stranger'}`}</p>
}
