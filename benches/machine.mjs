import { availableParallelism, cpus } from 'node:os'

/** On what, with what and when: numbers are worth nothing without it. */
export function describeMachine(browser) {
  const [{ model }] = cpus()
  const parts = [
    `${model.trim()}, ${availableParallelism()} cores`,
    `Node ${process.versions.node}`,
    browser,
    new Date().toISOString().slice(0, 10),
  ]
  return parts.filter(Boolean).join(' · ')
}
