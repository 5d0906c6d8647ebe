import { headers } from 'next/headers'
import { redirect } from 'next/navigation'
import { connection } from 'next/server'
import { Suspense } from 'react'
import { authFor } from 'strongroom/edge/next'
import { handler } from '../../handler'
import { order } from './actions'

const Orders = async () => {
  await connection()
  const response = await authFor(handler, await headers()).call('/api/orders')
  if (response.status === 401 && response.headers.has('x-strongroom'))
    redirect('/auth/login?returnTo=/orders&automatic')
  if (!response.ok) throw new Error(`the orders are not available: ${response.status}`)
  const orders: { id: number; item: string }[] = await response.json()
  return (
    <ul>
      {orders.map(({ id, item }) => (
        <li key={id}>{item}</li>
      ))}
    </ul>
  )
}

export default function Page() {
  return (
    <>
      <Suspense fallback={<p>One moment …</p>}>
        <Orders />
      </Suspense>
      <form action={order}>
        <input name="item" aria-label="Item" />
        <button>Order</button>
      </form>
    </>
  )
}
