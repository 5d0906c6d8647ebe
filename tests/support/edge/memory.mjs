import { readFile, readdir, readlink, writeFile } from 'node:fs/promises'

/** Returns the ID of the process of this machine that listens on this port of loopback (Linux). */
export async function processOn(port) {
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  const LISTENING = '0A'
  const lines = (await readFile('/proc/net/tcp', 'utf8')).split('\n').map((line) => line.trim().split(/\s+/))
  const found = lines.find(([, local, , state]) => local?.endsWith(`:${hex}`) && state === LISTENING)
  if (!found) throw new Error(`nothing listens on port ${port}`)
  const socket = `socket:[${found[9]}]`
  for (const id of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const files = await readdir(`/proc/${id}/fd`).catch(() => [])
    const links = await Promise.all(files.map((file) => readlink(`/proc/${id}/fd/${file}`).catch(() => '')))
    if (links.includes(socket)) return id
  }
  throw new Error(`the process that listens on port ${port} is not visible`)
}

const kilobytes = async (id, name) => {
  const status = await readFile(`/proc/${id}/status`, 'utf8')
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)[1])
}

/** Runs `work`, and returns by how many megabytes the resident memory of a process has grown at most meanwhile. */
export async function growthOf(id, work) {
  // This resets the peak.
  await writeFile(`/proc/${id}/clear_refs`, '5')
  const before = await kilobytes(id, 'VmRSS')
  await work()
  return ((await kilobytes(id, 'VmHWM')) - before) / 1024
}
