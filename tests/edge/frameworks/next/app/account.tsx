'use client'

import { useRouter } from 'next/navigation'
import { type ReactNode, useEffect, useState } from 'react'
import { createAuth } from 'strongroom'
import { AuthProvider, useAuth, useUserChange } from 'strongroom/react'

const auth = createAuth('/auth')

export const Auth = ({ children }: { children: ReactNode }) => (
  <AuthProvider auth={auth}>{children}</AuthProvider>
)

/** `user` is the user for whom the server rendered the page. */
export const Account = ({ user }: { user: string | undefined }) => {
  const { session, status, login, logout, fetch } = useAuth()
  const [orders, setOrders] = useState<{ id: number; item: string }[]>([])
  const router = useRouter()
  useUserChange(() => setOrders([])) // the next user must not see the orders of this one
  const current = session?.claims.sub
  const isOutdated = status === 'connected' && current !== user
  useEffect(() => {
    if (isOutdated) router.refresh()
  }, [isOutdated, current, router])

  if (status === 'connecting') return <p>One moment …</p>
  if (!session) return <button onClick={() => login()}>Sign in</button>
  const load = async () => setOrders(await (await fetch('/api/orders')).json())
  return (
    <>
      <button onClick={load}>Show orders</button>
      <ul>
        {orders.map(({ id, item }) => (
          <li key={id}>{item}</li>
        ))}
      </ul>
      <button onClick={() => logout()}>Sign out</button>
    </>
  )
}
