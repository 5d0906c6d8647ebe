import { createFileRoute, Link } from '@tanstack/react-router'
import { createServerFn } from '@tanstack/react-start'

const getName = createServerFn().handler(async ({ context }) => {
  const session = await context.session
  return session?.claims.name
})

export const Route = createFileRoute('/')({ loader: () => getName(), component: Home })

function Home() {
  const name = Route.useLoaderData()
  return (
    <>
      <p>{`Hello, ${name ?? 'stranger'}`}</p>
      {name ? (
        <>
          <Link to="/orders">Orders</Link>
          <form method="post" action="/auth/logout">
            <button>Sign out</button>
          </form>
        </>
      ) : (
        <a href="/auth/login?returnTo=/">Sign in</a>
      )}
    </>
  )
}
