export default defineEventHandler(async ({ context }) => {
  const response = await context.auth.call('/api/orders')
  if (!response.ok) throw createError({ status: response.status })
  const orders: { id: number; item: string }[] = await response.json()
  return orders
})
