/** A tus server behind the API's check of tokens, pages that upload to it with real clients, and tests of both. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { FileStore } from '@tus/file-store'
import { Server } from '@tus/server'
import { readGuide } from '../recipes/guide.mjs'
import { bundleForPage } from './bundle.mjs'

/** The number of parts of an upload, and their length in bytes. */
const PARTS = 6
const PART = 256 * 1024

/** The bytes of the pages' file. */
export const content = Buffer.from(
  Uint8Array.from({ length: PARTS * PART }, (_, at) => (at * 31 + (at >> 8)) % 251),
)

/** The guide's code imports `auth` from a file of the app. */
const AUTH = 'export const auth = { fetch: (...args) => globalThis.auth.fetch(...args) }'

/** The pages' functions, with the stack of docs/clients.md. */
const pages = (stack) => `
${stack}
import Uppy from '@uppy/core'
import Tus from '@uppy/tus'
import { DefaultHttpStack } from 'tus-js-client'

/** After a reload, the user chooses the same file again. */
const file = () => {
  const bytes = Uint8Array.from({ length: ${PARTS * PART} }, (_, at) => (at * 31 + (at >> 8)) % 251)
  return new File([bytes], 'film.bin', { type: 'application/octet-stream', lastModified: 1 })
}

/** Each client notes its progress in \`uploads.progress\`, and resolves with the address of the upload. */
globalThis.uploads = {
  progress: [],
  tus: (options) =>
    new Promise((resolve, reject) => {
      uploads.progress.length = 0
      const upload = new Upload(file(), {
        httpStack,
        chunkSize: ${PART},
        retryDelays: [0, 0, 0],
        onProgress: (sent) => void uploads.progress.push(sent),
        onSuccess: () => resolve(upload.url),
        onError: reject,
        ...options,
      })
      upload.findPreviousUploads().then(([previous]) => {
        if (previous) upload.resumeFromPreviousUpload(previous)
        upload.start()
      })
    }),
  xhr: (options) => uploads.tus({ httpStack: new DefaultHttpStack({}), ...options }),
  async uppy(options) {
    uploads.progress.length = 0
    const uppy = new Uppy({ autoProceed: false })
    uppy.use(Tus, { httpStack, chunkSize: ${PART}, retryDelays: [0, 0, 0], ...options })
    uppy.on('upload-progress', (_, { bytesUploaded }) => void uploads.progress.push(bytesUploaded))
    uppy.addFile({ name: file().name, type: file().type, data: file() })
    const { successful, failed } = await uppy.upload()
    if (failed.length) throw new Error(failed[0].error)
    return successful[0].uploadURL
  },
}
`

async function bundle() {
  const guide = await readGuide('docs/clients.md')
  const stack = guide.block('const httpStack: HttpStack')
  const end = stack.indexOf('\nconst upload =')
  const ofApp = {
    name: 'auth',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^\.\/auth$/ }, () => ({ path: 'auth', namespace: 'app' }))
      onLoad({ filter: /.*/, namespace: 'app' }, () => ({ contents: AUTH }))
    },
  }
  const module = {
    contents: pages(stack.slice(0, end)),
    loader: 'ts',
    resolveDir: fileURLToPath(new URL('.', import.meta.url)),
  }
  return bundleForPage(module, [ofApp])
}

/**
 * Adds the tus server to the API, at `/v1/files`, and the clients to the app's pages.
 *
 * @param {{ api: object, site: object }} app
 */
export async function startUploads({ api, site }) {
  const directory = await mkdtemp(join(tmpdir(), 'uploads-'))
  site.files['/uploads.js'] = await bundle()
  site.files['/page.js'] = `import '/uploads.js'\n${site.files['/page.js']}`
  const uploads = {
    /** The path below which browsers reach the uploads, if it is not the API's own address. */
    base: undefined,
    /** Called before each part is stored, with its number since the last reset and its exchange. */
    onPart: async () => {},
    /** True if only the beginning of the next part is to arrive. */
    cutsNext: false,
    /** True if the next part is to be refused with 401. */
    refusesNext: false,
    /** The parts that have arrived, as entries of the API. */
    parts: [],
    reset() {
      Object.assign(uploads, { base: undefined, onPart: async () => {}, cutsNext: false, refusesNext: false })
      uploads.parts.length = 0
      api.clear()
    },
    /** Resolves with the stored bytes of an upload. */
    read: (url) => readFile(join(directory, new URL(url).pathname.split('/').pop())),
    close: () => rm(directory, { recursive: true }),
  }

  class Store extends FileStore {
    async write(body, id, offset) {
      if (!uploads.cutsNext) return super.write(body, id, offset)
      uploads.cutsNext = false
      const cut = uploads.parts.at(-1).break
      return super.write(Readable.from(firstChunk(body, cut)), id, offset)
    }
  }
  const server = new Server({
    path: '/v1/files',
    datastore: new Store({ directory }),
    generateUrl: (_, { proto, host, path, id }) =>
      uploads.base ? `${uploads.base}/${id}` : `${proto}://${host}${path}/${id}`,
  })
  api.mount('files', async (request, response, entry) => {
    if (request.method === 'PATCH') {
      uploads.parts.push(entry)
      await uploads.onPart(uploads.parts.length, entry)
      if (uploads.refusesNext) {
        uploads.refusesNext = false
        response.setHeader('WWW-Authenticate', 'Bearer error="invalid_token"')
        return response.writeHead(401).end()
      }
    }
    await server.handle(request, response)
  })
  return uploads
}

/** Returns the beginning of a body, and then cuts the body's connection. */
async function* firstChunk(body, cut) {
  for await (const chunk of body) {
    yield chunk
    cut()
    return
  }
}

/**
 * Tests the clients of the guide in a page.
 *
 * @param {() => { app: object, uploads: Awaited<ReturnType<typeof startUploads>>, page: object, signIn: Function }} get
 *   Returns an app whose access tokens live for seconds, a page of its user, and a function that signs in again.
 */
export function testUploads(get) {
  const time = { timeout: 180_000 }
  const begin = async () => {
    const { uploads, page } = get()
    uploads.reset()
    await page.evaluate(() => localStorage.clear())
    return get()
  }
  const run = (client) => {
    const { app, page } = get()
    const endpoint = `${app.api.url}files`
    return page.evaluate(([client, endpoint]) => uploads[client]({ endpoint }), [client, endpoint])
  }
  const progress = () => get().page.evaluate(() => [...new Set(uploads.progress.filter((sent) => sent))])
  const tokens = () => new Set(get().uploads.parts.map(({ authorization }) => authorization))
  const created = () => get().app.api.requests.filter(({ method }) => method === 'POST').length

  for (const client of ['tus', 'uppy']) {
    test(`${client}: an upload outlives its access tokens`, time, async () => {
      const { app, uploads } = await begin()
      // The first part gets a new token.
      await app.ledger.accessTokenExpired()
      uploads.onPart = async (part) => {
        if (part === 2 || part === 4) await app.ledger.accessTokenExpired()
      }
      assert.deepEqual(await uploads.read(await run(client)), content)
      assert.equal(tokens().size, 3)
      assert.deepEqual(
        uploads.parts.map(({ status }) => status),
        Array(PARTS).fill(204),
      )
      assert.deepEqual(
        await progress(),
        Array.from({ length: PARTS }, (_, part) => (part + 1) * PART),
      )
    })

    test(`${client}: an upload continues where its connection was lost`, time, async () => {
      const { uploads } = await begin()
      uploads.onPart = async (part) => {
        if (part === 3) uploads.cutsNext = true
      }
      assert.deepEqual(await uploads.read(await run(client)), content)
      assert.equal(created(), 1)
      const offsets = uploads.parts.map(({ headers }) => Number(headers['upload-offset']))
      assert.ok(
        offsets.some((offset) => offset % PART),
        `a part begins where the cut one ended: ${offsets}`,
      )
    })

    test(`${client}: an upload continues after the next sign-in`, time, async () => {
      const { uploads, page, signIn } = await begin()
      const reached = new Promise((resolve) => {
        uploads.onPart = (part) => (part === 4 ? new Promise(() => resolve()) : undefined)
      })
      const left = run(client).catch(() => {})
      await reached
      const stored = await page.evaluate(() => JSON.stringify(localStorage))
      assert.match(stored, /files\//)
      for (const token of tokens()) assert.ok(!stored.includes(token.replace('Bearer ', '')))
      // Without a session, the client fails and keeps the address of the upload.
      await page.evaluate(() => auth.logout())
      await assert.rejects(run(client), /StrongroomError/)
      await signIn(page)
      await left
      uploads.onPart = async () => {}
      assert.deepEqual(await uploads.read(await run(client)), content)
      assert.equal(created(), 1)
      assert.equal((await progress())[0], 3 * PART)
    })
  }
}
