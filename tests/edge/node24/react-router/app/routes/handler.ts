// The middleware responds to the handler's addresses, but React Router runs it only for addresses with a route.
export const loader = () => new Response(null, { status: 404 })
