import { Link } from 'react-router'
import { authContext } from 'strongroom/edge/react-router'
import type { Route } from './+types/home'

export const loader = async ({ context }: Route.LoaderArgs) => {
  const session = await context.get(authContext).session()
  return { name: session?.claims.name }
}

export default function Home({ loaderData: { name } }: Route.ComponentProps) {
  return (
    <>
      <p>{`Hello, ${name ?? 'stranger'}`}</p>
      {name ? (
        <>
          <Link to="/orders">Orders</Link> <Link to="/devices">Devices</Link>
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
