import { transform } from 'esbuild'

/** A webpack loader that removes types from TypeScript. */
export default function load(source) {
  const done = this.async()
  transform(source, { loader: 'ts', target: 'es2022' }).then(({ code }) => done(null, code), done)
}
