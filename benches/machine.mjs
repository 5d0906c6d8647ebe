import { availableParallelism, cpus } from 'node:os'

/** Returns the machine, versions and date: numbers mean nothing without them. */
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
