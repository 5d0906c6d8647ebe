import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { start } from './child.mjs'

const GUIDE = new URL('../../../docs/edge-deploy.md', import.meta.url)
const GUARDED = new URL('../../../docs/oauth2-proxy.md', import.meta.url)

/**
 * Reads nginx's file of the guide, with other ports and without TLS.
 *
 * @param {number[]} ports The ports of the two instances.
 * @param {number} listen nginx's own port.
 */
export async function siteOfGuide(ports, listen) {
  const [, site] = /```nginx\n# \/etc\/nginx\/conf\.d\/app\.conf\n([^]*?)```/.exec(
    await readFile(GUIDE, 'utf8'),
  )
  const [first, second] = ports
  return site
    .replace('127.0.0.1:8081', `127.0.0.1:${first}`)
    .replace('127.0.0.1:8082', `127.0.0.1:${second}`)
    .replace('listen 443 ssl;', `listen 127.0.0.1:${listen};`)
    .replace(/ *(ssl_certificate|access_log).*\n/g, '')
}

/**
 * Reads a file of the guide for guarded sites, with other addresses.
 *
 * @param {'nginx' | 'text'} kind nginx's file, or Caddy's.
 * @param {Record<string, string>} changes Texts of the file, each with the text in its place.
 */
export async function guardedSite(kind, changes) {
  const guide = await readFile(GUARDED, 'utf8')
  let [, site] = new RegExp(`\`\`\`${kind}\n# .*\n([^]*?)\`\`\``).exec(guide)
  site = site.replace(/ *(ssl_certificate|access_log).*\n/g, '')
  for (const [from, to] of Object.entries(changes)) {
    if (!site.includes(from)) throw new Error(`the file of the guide lacks: ${from}`)
    site = site.replaceAll(from, to)
  }
  return site
}

/**
 * Starts nginx with the file of a site. Its messages are in the folder of the result.
 *
 * @param {string} site The content of a file in `conf.d`.
 * @param {number} [connections] The largest number of connections.
 * @returns {Promise<{ stop(): Promise<void>, throwIfEnded(): void }>}
 */
export async function startNginx(site, connections = 512) {
  const command = process.env.NGINX_PATH ?? '/usr/sbin/nginx'
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-nginx-'))
  const file = join(folder, 'nginx.conf')
  const own = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  const paths = own.map((name) => `${name}_temp_path ${folder}/${name};`).join(' ')
  await writeFile(
    file,
    `daemon off; master_process off; pid ${folder}/pid; error_log ${folder}/error.log;
events { worker_connections ${connections}; }
http { access_log off; ${paths}
${site}
}`,
  )
  const args = ['-c', file, '-p', folder, '-e', `${folder}/error.log`]
  const server = start(command, args, { env: { PATH: process.env.PATH }, cwd: folder, endBy: 'SIGTERM' })
  return {
    throwIfEnded: server.throwIfEnded,
    async stop() {
      await server.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
