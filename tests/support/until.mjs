/** Calls a function until it returns something, and resolves with that. The test's time limit ends the wait. */
export async function until(look) {
  for (;;) {
    const found = await look()
    if (found) return found
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
