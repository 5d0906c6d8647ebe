import { nodeResolve } from '@rollup/plugin-node-resolve'

export default {
  input: ['main.ts', 'auth.worker.ts'],
  output: { dir: 'dist', entryFileNames: '[name].js' },
  plugins: [nodeResolve({ extensions: ['.ts', '.js'] })],
}
