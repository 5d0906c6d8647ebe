export default {
  // Gives the worker's file a name without a hash. Without this option, the app works too.
  worker: { format: 'es', rolldownOptions: { output: { entryFileNames: 'assets/[name].js' } } },
}
