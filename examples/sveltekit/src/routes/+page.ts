import { auth } from '$lib/auth'

export const load = async () => {
  const session = await auth.requireSession()
  if (!session) return { isSignedIn: false, orders: [] }
  const response = await auth.fetch('http://127.0.0.1:4402/v1/orders')
  return { isSignedIn: true, orders: (await response.json()) as { id: number; item: string }[] }
}
