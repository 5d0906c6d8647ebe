export default defineNuxtConfig({
  compatibilityDate: '2026-11-01',
  vite: {
    worker: { format: 'es', rolldownOptions: { output: { entryFileNames: '_nuxt/[name].js' } } },
  },
})
