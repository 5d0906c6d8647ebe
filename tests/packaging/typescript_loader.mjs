import { transform } from 'esbuild'

/** A loader for webpack: removes the types, as the loaders of its users do. */
export default function load(source) {
  const done = this.async()
  transform(source, { loader: 'ts', target: 'es2022' }).then(({ code }) => done(null, code), done)
}
