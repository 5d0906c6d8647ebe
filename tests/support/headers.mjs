/** A vault's configuration, and the headers that `strongroom/headers` generates from it. */
import { securityHeaders } from '../../pkg/dist/headers.js'

export const CSP = 'Content-Security-Policy'

export const CONFIG = {
  issuer: 'https://id.example.com',
  apis: [{ url: 'https://api.example.com/v1/' }],
}
export const OPTIONS = { origin: 'https://app.example.com', worker: '/auth.worker.js' }

/** A configuration with a path for elements. */
export const MEDIA = {
  ...CONFIG,
  apis: [...CONFIG.apis, { url: 'https://api.example.com/files/', media: '/media/' }],
}

export const generate = (config = {}, options = {}) =>
  securityHeaders({ ...CONFIG, ...config }, { ...OPTIONS, ...options })
