import { Form, Link, redirectDocument } from 'react-router'
import { authContext } from 'strongroom/edge/react-router'
import type { Route } from './+types/orders'

/** Returns the response of an API, or sends the browser to the login. */
const checked = (response: Response) => {
  // Only the handler's own errors have this header. A new login may change nothing about a 401 of the API.
  const isOurs = response.headers.has('x-strongroom')
  if (response.status === 401 && isOurs) throw redirectDocument('/auth/login?returnTo=/orders&automatic')
  if (!response.ok) throw new Response(null, { status: 502 })
  return response
}

export const loader = async ({ context }: Route.LoaderArgs) => {
  const response = checked(await context.get(authContext).call('/api/orders'))
  const orders: { id: number; item: string }[] = await response.json()
  return { orders }
}

export const action = async ({ request, context }: Route.ActionArgs) => {
  const item = (await request.formData()).get('item')
  const headers = { 'content-type': 'application/json' }
  const body = JSON.stringify({ item, quantity: 1 })
  checked(await context.get(authContext).call('/api/orders', { method: 'POST', headers, body }))
  return null
}

export default function Orders({ loaderData: { orders } }: Route.ComponentProps) {
  return (
    <>
      <ul>
        {orders.map(({ id, item }) => (
          <li key={id}>{item}</li>
        ))}
      </ul>
      <Form method="post">
        <input name="item" aria-label="Item" required />
        <button>Order</button>
      </Form>
      <Link to="/">Home</Link>
    </>
  )
}
