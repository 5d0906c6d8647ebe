import type { VaultConfig } from 'strongroom/worker'

export const config: VaultConfig = {
  issuer: 'https://id.example.com',
  clientId: 'spa',
  redirectUri: '/callback',
  scope: 'openid profile offline_access',
  apis: [{ url: 'https://api.example.com/v1/', methods: ['GET', 'POST'] }],
}
