'use server'

import { cookies, headers } from 'next/headers'
import { redirect } from 'next/navigation'
import { authForAction, saveAuth } from 'strongroom/edge/next'
import { handler } from '../../handler'

export const order = async (form: FormData) => {
  const auth = authForAction(handler, await headers())
  const response = await auth.call('/api/orders', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ item: form.get('item'), quantity: 1 }),
  })
  await saveAuth(auth, await cookies())
  if (response.status === 401 && response.headers.has('x-strongroom'))
    redirect('/auth/login?returnTo=/orders&automatic')
  if (!response.ok) throw new Error(`the order was refused: ${response.status}`)
  redirect('/orders')
}
