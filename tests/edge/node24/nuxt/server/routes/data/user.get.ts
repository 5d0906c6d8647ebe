export default defineEventHandler(async ({ context }) => {
  const session = await context.session
  return { name: session?.claims.name }
})
