/**
 * Runs steps one after another and prints each with its observation. A failed step ends the run with the error of the
 * step.
 */
export class Steps {
  #count = 0

  /**
   * @param {string} title
   * @param {() => Promise<string | undefined>} action Resolves with an observation in a few words.
   */
  async run(title, action) {
    const number = String(++this.#count).padStart(2)
    const start = performance.now()
    try {
      const seen = await action()
      const time = `${Math.round(performance.now() - start)} ms`
      console.log(`ok ${number}  ${title}${seen ? `: ${seen}` : ''} (${time})`)
    } catch (error) {
      console.log(`not ok ${number}  ${title}`)
      throw error
    }
  }

  get count() {
    return this.#count
  }
}
