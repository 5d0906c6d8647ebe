/** Measures the memory of a browser's processes, as the operating system reports it. Works on Linux only. */
import { readdir, readFile } from 'node:fs/promises'

/** Milliseconds between samples. */
const PAUSE = 100

/**
 * Runs `action`, and during that time samples the renderers of the browser whose first process is `pid`: the processes
 * of its pages and workers.
 *
 * @returns {Promise<number>} The peak of the sum of the renderers' private bytes. Shared bytes, such as programs and
 *   libraries, are not counted.
 */
export async function watchMemory(pid, action) {
  let peak = 0
  let isOver = false
  const watching = (async () => {
    while (!isOver) {
      peak = Math.max(peak, await ownBytes(pid))
      await new Promise((resolve) => setTimeout(resolve, PAUSE))
    }
  })()
  try {
    await action()
  } finally {
    isOver = true
    await watching
  }
  return peak
}

async function ownBytes(pid) {
  const ids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
  const processes = (await Promise.all(ids.map(look))).filter(Boolean)
  const family = new Set([pid])
  // Parents usually have lower numbers than their children, unless the numbers have wrapped around.
  for (const { id, parent } of processes.toSorted((a, b) => a.id - b.id)) {
    if (family.has(parent)) family.add(id)
  }
  const renderers = processes.filter(({ id, isRenderer }) => isRenderer && family.has(id))
  return renderers.reduce((sum, { bytes }) => sum + bytes, 0)
}

/** Resolves with the data of a process, or with `undefined` if the process has ended. */
async function look(id) {
  const read = (name) => readFile(`/proc/${id}/${name}`, 'utf8').catch(() => '')
  const status = await read('status')
  if (!status) return undefined
  const number = (name) => Number(new RegExp(`^${name}:\\s*(\\d+)`, 'm').exec(status)?.[1] ?? 0)
  return {
    id,
    parent: number('PPid'),
    bytes: (number('RssAnon') + number('RssShmem')) * 1024,
    isRenderer: (await read('cmdline')).includes('--type=renderer'),
  }
}
