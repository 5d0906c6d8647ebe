import { sveltekit } from '@sveltejs/kit/vite'
import { viteHeaders } from 'strongroom/headers'
import { defineConfig } from 'vite'
import { config } from './src/lib/auth.config.ts'

export default defineConfig({
  plugins: [
    // SvelteKit puts a hash into the name of the worker's file, so the headers name its folder. Its pages have an inline
    // script, and call the app's own server for data.
    viteHeaders(config, {
      worker: '/_app/immutable/workers/',
      page: {
        'script-src': ["'unsafe-inline'"],
        'style-src': ["'unsafe-inline'"],
        'connect-src': ["'self'"],
      },
    }),
    sveltekit(),
  ],
})
