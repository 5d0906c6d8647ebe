import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { AuthProvider, RequireSession } from 'strongroom/react'
import { auth } from './auth'
import { Orders } from './orders'

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <AuthProvider auth={auth}>
      <RequireSession fallback={<button onClick={() => auth.login()}>Sign in</button>}>
        <Orders />
      </RequireSession>
    </AuthProvider>
  </StrictMode>,
)
