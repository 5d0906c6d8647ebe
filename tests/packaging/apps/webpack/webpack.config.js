export default {
  mode: 'production',
  entry: './main.ts',
  resolve: { extensions: ['.ts', '.js'] },
  output: { publicPath: '/', clean: true },
}
