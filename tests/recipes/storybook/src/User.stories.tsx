import { useAuth, useSession } from 'strongroom/react'

function User() {
  const session = useSession<{ name: string }>()
  const { status } = useAuth()
  return <p id="user">{session ? session.claims.name : `nobody, ${status}`}</p>
}

export default { component: User }

export const SignedOut = {}

export const SignedIn = {
  play: ({ loaded }) => {
    loaded.world.signIn({ name: 'Alice' })
  },
}
