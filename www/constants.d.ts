/** Values that the build inserts (build.mjs). */
declare const ISSUER: string
declare const CLIENT_ID: string
declare const API: string
/** The origin of the comparison (local-storage.ts), and its client. */
declare const COMPARISON: string
declare const COMPARISON_ID: string
/** The URL of the vault's frame if the vault has its own origin; otherwise empty. */
declare const FRAME: string
/** The path of the token handler's endpoints if the demo has a token handler instead of a vault; otherwise empty. */
declare const HANDLER: string
/** The number of calls by which thief and user try a session, on the page of the theft. */
declare const CALLS: number
/** The names of the ways on the page of the exits. */
declare const WAYS: readonly string[]
/** The app's origin, which only the scripts of a vault on its own origin use. */
declare const APP: string

/** Trusted Types, as far as the demo uses them; TypeScript's DOM library has no types for them. */
interface Window {
  readonly trustedTypes?: {
    createPolicy(
      name: string,
      rules: { createScriptURL(url: string): string },
    ): { createScriptURL(url: string): unknown }
  }
}
