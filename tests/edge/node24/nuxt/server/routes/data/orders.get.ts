export default defineEventHandler(async ({ context }) => {
  const response = checked(await context.auth.call('/api/orders'))
  const orders: { id: number; item: string }[] = await response.json()
  return orders
})
