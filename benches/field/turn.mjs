/** Lets one browser work at a time. A world gives its turn away while its browser is stopped. */
export class Turn {
  #isTaken = false
  #waiting = []

  async take() {
    if (this.#isTaken) await new Promise((resolve) => this.#waiting.push(resolve))
    this.#isTaken = true
  }

  give() {
    const next = this.#waiting.shift()
    if (next) next()
    else this.#isTaken = false
  }
}
