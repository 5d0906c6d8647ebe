import { availableParallelism, cpus } from 'node:os'

/** Describes the machine, the versions and the date, without which the numbers mean nothing. */
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
