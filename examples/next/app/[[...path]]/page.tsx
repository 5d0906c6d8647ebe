'use client'
// One page for all addresses, the redirect URI included.

import { AuthProvider, RequireSession } from 'strongroom/react'
import { auth } from '../../auth'
import { Orders } from '../../orders'

export default function Page() {
  return (
    <AuthProvider auth={auth}>
      <RequireSession fallback={<button onClick={() => auth.login()}>Sign in</button>}>
        <Orders />
      </RequireSession>
    </AuthProvider>
  )
}
