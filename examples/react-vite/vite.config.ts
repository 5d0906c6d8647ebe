import react from '@vitejs/plugin-react'
import { viteHeaders } from 'strongroom/headers'
import { defineConfig } from 'vite'
import { config } from './src/auth.config.ts'

export default defineConfig({
  plugins: [react(), viteHeaders(config, { worker: '/assets/auth.worker.js' })],
  // The headers name the worker's file, so its name has no hash.
  worker: { format: 'es', rolldownOptions: { output: { entryFileNames: 'assets/[name].js' } } },
})
