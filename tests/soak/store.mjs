import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { startAddress } from '../support/edge/address.mjs'
import { startRedis } from '../support/edge/redis.mjs'
import { freePort } from '../support/listen.mjs'

/** Starts a Redis with a replica, and the address at which instances find the primary. Both servers keep what they store. */
export async function startStore(folder) {
  const start = async (place, primary) => {
    const redis = await startRedis({ ...place, primary: primary?.place.port })
    return { ...redis, place }
  }
  const newPlace = async (name) => {
    const kept = join(folder, name)
    await mkdir(kept)
    return { port: await freePort(), kept }
  }
  let primary = await start(await newPlace('redis-1'))
  let replica = await start(await newPlace('redis-2'), primary)
  const address = await startAddress(primary.url)
  return {
    url: address.url,
    pause: () => primary.pause(),
    goOn: () => primary.goOn(),
    kill: () => primary.stop(),
    async restart() {
      primary = await start(primary.place)
    },
    /** Makes the replica the primary. The former primary, which was killed, returns as its replica. */
    async failOver() {
      await replica.promote()
      address.turnTo(replica.url)
      const former = primary
      primary = replica
      replica = await start(former.place, primary)
    },
    async stop() {
      address.close()
      await replica.stop()
      await primary.stop()
    },
  }
}
