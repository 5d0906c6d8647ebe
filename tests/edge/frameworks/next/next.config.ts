// React's tools for development need eval, and Next puts inline scripts and styles into its pages.
const development = process.env.NODE_ENV === 'development' ? " 'unsafe-eval'" : ''
const policy = [
  "default-src 'none'; connect-src 'self'; img-src 'self' data:; font-src 'self'",
  `script-src 'self' 'unsafe-inline'${development}; style-src 'self' 'unsafe-inline'`,
  // Script in a page must not open a login of its own in a frame. Cross-Origin-Opener-Policy does the same for windows.
  "frame-src 'none'; object-src 'none'",
  "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
]
const headers = [
  { key: 'Content-Security-Policy', value: policy.join('; ') },
  { key: 'Cross-Origin-Opener-Policy', value: 'same-origin' },
  { key: 'Referrer-Policy', value: 'no-referrer' },
  { key: 'X-Content-Type-Options', value: 'nosniff' },
]

export default {
  cacheComponents: true,
  partialPrefetching: true,
  // All pages. The handler sets its own headers.
  headers: () => [{ source: '/((?!auth/|api/).*)', headers }],
}
