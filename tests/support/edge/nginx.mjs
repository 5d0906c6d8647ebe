import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { start } from './child.mjs'

/**
 * Starts nginx with the file of a site. Its messages are in the folder of the result.
 *
 * @param {string} site The content of a file in `conf.d`.
 * @returns {Promise<{ stop(): Promise<void> }>}
 */
export async function startNginx(site) {
  const command = process.env.NGINX_PATH ?? '/usr/sbin/nginx'
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-nginx-'))
  const file = join(folder, 'nginx.conf')
  const own = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  const paths = own.map((name) => `${name}_temp_path ${folder}/${name};`).join(' ')
  await writeFile(
    file,
    `daemon off; master_process off; pid ${folder}/pid; error_log ${folder}/error.log;
events {}
http { access_log off; ${paths}
${site}
}`,
  )
  const args = ['-c', file, '-p', folder, '-e', `${folder}/error.log`]
  const server = start(command, args, { env: { PATH: process.env.PATH }, cwd: folder, endBy: 'SIGTERM' })
  server.firstLine.catch(() => {})
  return {
    async stop() {
      await server.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
