export default {
  build: { format: 'file' },
  vite: {
    worker: { format: 'es', rolldownOptions: { output: { entryFileNames: '_astro/[name].js' } } },
  },
}
