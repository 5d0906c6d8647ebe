import { Form, Link, redirectDocument } from 'react-router'
import type { Route } from './+types/devices'

interface Device {
  session: string
  startedAt: number
  isCurrent: boolean
  description?: string
}

const send = async (method: string, query = '') => {
  const response = await fetch(`/auth/sessions${query}`, { method, headers: { 'X-Strongroom': '1' } })
  if (response.status === 401) throw redirectDocument('/auth/login?returnTo=/devices&automatic')
  if (!response.ok) throw new Response(null, { status: 502 })
  return response
}

export const clientLoader = async () => {
  const response = await send('GET')
  const { sessions }: { sessions: Device[] } = await response.json()
  return { sessions }
}

export const clientAction = async ({ request }: Route.ClientActionArgs) => {
  const id = (await request.formData()).get('id')
  await send('DELETE', id ? `?id=${id}` : '')
  return null
}

/** The server renders this in place of the page. */
export const HydrateFallback = () => <p>One moment …</p>

export default function Devices({ loaderData: { sessions } }: Route.ComponentProps) {
  return (
    <Form method="post">
      <ul>
        {sessions.map(({ session, startedAt, isCurrent, description = 'A browser' }) => (
          <li key={session}>
            {`${description}, since ${new Date(startedAt).toLocaleString()} `}
            {isCurrent ? (
              '(this device)'
            ) : (
              <button name="id" value={session}>
                Sign out this device
              </button>
            )}
          </li>
        ))}
      </ul>
      <button>Sign out my other devices</button>
      <p>
        <Link to="/">Home</Link>
      </p>
    </Form>
  )
}
