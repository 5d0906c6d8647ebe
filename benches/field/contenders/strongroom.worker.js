import '/config.js'
import { vault } from '../../../pkg/dist/worker.js'

vault({
  issuer: CONFIG.issuer,
  clientId: CONFIG.clientId,
  redirectUri: '/callback',
  scope: 'openid profile offline_access',
  session: { persist: 'sealed' },
  apis: [{ url: `${CONFIG.api}/v1/`, methods: ['GET', 'POST'] }],
})
