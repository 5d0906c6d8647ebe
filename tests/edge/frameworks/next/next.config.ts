// Script in a page must not open a login of its own in a frame or a window.
const headers = [
  { key: 'Content-Security-Policy', value: "frame-src 'none'; object-src 'none'" },
  { key: 'Cross-Origin-Opener-Policy', value: 'same-origin' },
]

export default {
  cacheComponents: true,
  partialPrefetching: true,
  // All pages. The handler sets its own headers.
  headers: () => [{ source: '/((?!auth/|api/).*)', headers }],
}
