import adapter from '@sveltejs/adapter-static'

// A single-page app: one file serves all addresses.
export default { kit: { adapter: adapter({ fallback: 'index.html' }) } }
