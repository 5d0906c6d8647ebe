import type { NextConfig } from 'next'
import { nextHeaders } from 'strongroom/headers'
import { config } from './auth.config'

const options = {
  origin: process.env.ORIGIN ?? 'http://localhost:3000',
  worker: '/_next/static/',
  // Next's pages have inline scripts, and call their own server.
  page: { 'script-src': ["'unsafe-inline'"], 'style-src': ["'unsafe-inline'"], 'connect-src': ["'self'"] },
}

const nextConfig: NextConfig = { headers: async () => nextHeaders(config, options) }
export default nextConfig
