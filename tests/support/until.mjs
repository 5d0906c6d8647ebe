/** Calls a function until it returns something, and resolves with that. The test's time limit ends the wait. */
export async function until(look) {
  for (;;) {
    const found = await look()
    if (found) return found
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/**
 * Waits until a page shows the browser's error page. Playwright's `waitForURL` rejects if the navigation fails while it
 * waits, and resolves if it has failed before.
 */
export const untilErrorPage = (page) => until(() => page.url().startsWith('chrome-error://'))
