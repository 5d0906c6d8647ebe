/**
 * oidc-provider without its warning about Node 20. It works there, and all tests run with it, but it prints the warning
 * whenever it is imported, and has no option that turns the warning off. This project supports Node 20, so someone who
 * tries the demo with it would look for a mistake of their own.
 */
const { warn } = console
console.warn = (...values) => {
  if (!String(values[0]).includes('oidc-provider WARNING: Unsupported runtime')) warn(...values)
}
export const { errors, interactionPolicy, Provider } = await import('oidc-provider').finally(() => {
  console.warn = warn
})
