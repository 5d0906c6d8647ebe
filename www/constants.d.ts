/** Addresses that the build puts in (build.mjs). */
declare const ISSUER: string
declare const CLIENT_ID: string
declare const API: string
/** The vault's frame, if the vault has an origin of its own; else empty. */
declare const FRAME: string
/** Where the token handler's endpoints are, if there is one in place of the vault; else empty. */
declare const HANDLER: string
/** The app's origin. */
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
