import { createFileRoute, Link, redirect, useRouter } from '@tanstack/react-router'
import { createServerFn, useServerFn } from '@tanstack/react-start'

/** Returns the response of an API, or sends the browser to the login. */
const checked = (response: Response) => {
  // Only the handler's own errors have this header. A new login may change nothing about a 401 of the API.
  const isOurs = response.headers.has('x-strongroom')
  if (response.status === 401 && isOurs) {
    throw redirect({ href: '/auth/login?returnTo=/orders&automatic', reloadDocument: true })
  }
  if (!response.ok) throw new Error(`The API responded with ${response.status}.`)
  return response
}

const getOrders = createServerFn().handler(async ({ context }) => {
  const response = checked(await context.auth.call('/api/orders'))
  const orders: { id: number; item: string }[] = await response.json()
  return orders
})

const addOrder = createServerFn({ method: 'POST' })
  .validator((item: unknown) => String(item))
  .handler(async ({ data: item, context }) => {
    const headers = { 'content-type': 'application/json' }
    const body = JSON.stringify({ item, quantity: 1 })
    checked(await context.auth.call('/api/orders', { method: 'POST', headers, body }))
  })

export const Route = createFileRoute('/orders')({ loader: () => getOrders(), component: Orders })

function Orders() {
  const orders = Route.useLoaderData()
  const router = useRouter()
  const add = useServerFn(addOrder)
  const order = async (form: FormData) => {
    await add({ data: form.get('item') })
    await router.invalidate()
  }
  return (
    <>
      <ul>
        {orders.map(({ id, item }) => (
          <li key={id}>{item}</li>
        ))}
      </ul>
      <form action={order}>
        <input name="item" aria-label="Item" required />
        <button>Order</button>
      </form>
      <Link to="/">Home</Link>
    </>
  )
}
