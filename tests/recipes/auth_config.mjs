import { readGuide } from './guide.mjs'

/** Resolves with the file of the configuration that the worker's file and tests share, which docs/headers.md shows. */
export const authConfig = async () =>
  (await readGuide('docs/headers.md')).block('export const config: VaultConfig')
