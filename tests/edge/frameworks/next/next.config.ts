// React's tools for development need eval, and Next puts inline scripts and styles into its pages.
const development = process.env.NODE_ENV === 'development' ? " 'unsafe-eval'" : ''
const policy = [
  "default-src 'none'; connect-src 'self'; img-src 'self' data:; font-src 'self'",
  `script-src 'self' 'unsafe-inline'${development}; style-src 'self' 'unsafe-inline'`,
  // Script in a page must not see the response to a login of its own: in a frame, in a service worker, or, by
  // Cross-Origin-Opener-Policy, in a window.
  "frame-src 'none'; object-src 'none'; worker-src 'none'",
  // Browsers check `form-action` also for the redirect of a form to the provider.
  "base-uri 'none'; form-action 'self' https://id.example.com; frame-ancestors 'none'",
]
const headers = [
  { key: 'Content-Security-Policy', value: policy.join('; ') },
  { key: 'Cross-Origin-Opener-Policy', value: 'same-origin' },
  // Not `no-referrer`: browsers would send forms without script with `Origin: null`, which Next.js refuses.
  { key: 'Referrer-Policy', value: 'same-origin' },
  { key: 'X-Content-Type-Options', value: 'nosniff' },
]

export default {
  cacheComponents: true,
  partialPrefetching: true,
  // Otherwise /AUTH/ is a page without these headers.
  experimental: { caseSensitiveRoutes: true },
  // All pages. The handler sets its own headers.
  headers: () => [{ source: '/((?!auth/|api/).*)', headers }],
}
