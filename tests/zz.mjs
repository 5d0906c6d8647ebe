import { ENGINES } from './support/engines/index.mjs'
import { serveApp } from './support/app.mjs'
const { [process.argv[3]]: groups } = await import(`./engines/capabilities/${process.argv[2]}.mjs`)
for (const name of process.argv[4].split(',')) {
  const engine = await ENGINES[name].start()
  for (const group of groups) {
    const app = await serveApp(group.app); await group.prepare?.(app)
    for (const c of group.capabilities) {
      const session = await engine.newSession()
      const another = async (where = '/') => Object.assign(await session.open(app.site.origin + where), { session })
      const visit = async (path = '/') => ({ tab: await another(path), another })
      try { console.log(name, '|', c.name, '|', (await c.see({ app, engine, visit })) ?? 'yes') } catch (e) { console.log(name, '|', c.name, 'FAILED', e.message.slice(0, 600)) }
      await session.close()
    }
    await app.close()
  }
  await engine.close()
}
process.exit(0)
