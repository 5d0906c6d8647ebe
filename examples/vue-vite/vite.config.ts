import vue from '@vitejs/plugin-vue'
import { viteHeaders } from 'strongroom/headers'
import { defineConfig } from 'vite'
import { config } from './src/auth.config.ts'

export default defineConfig({
  plugins: [vue(), viteHeaders(config, { worker: '/assets/auth.worker.js' })],
  // The headers name the worker's file, so its name has no hash.
  worker: { format: 'es', rolldownOptions: { output: { entryFileNames: 'assets/[name].js' } } },
})
