/**
 * Resolves when the page is shown: at once, unless the browser has prerendered it (Prerendering Revamped 2.2). A page that
 * the user may never open must neither sign in nor use up time limits, and its requests for pages are refused.
 */
export const whenShown = async (): Promise<void> => {
  if (!globalThis.document?.prerendering) return
  await new Promise((shown) => document.addEventListener('prerenderingchange', shown, { once: true }))
}
