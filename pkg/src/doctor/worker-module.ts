/** The lines about the WebAssembly module, which the worker's file names. */
import type { Deployment } from './deployment.js'
import { checkSpeed, fault, type Rows, unseen, type Verdict } from './report.js'
import { isPrivateUrl, type Reply, seenHeader, seenOf } from './requests.js'

/** A hash in a file's name, as bundlers write it. */
export const HASH = /[-.](?=[\w-]*[\dA-Z])[\w-]{8,}\.\w+$/

/** Returns the module's address in a worker's file. */
const moduleUrl = (script: string, base: string): string | undefined => {
  const found = /["'`]([^"'`\s]*strongroom_bg[^"'`\s]*\.wasm)["'`]/.exec(script)
  return found && URL.canParse(found[1]!, base) ? new URL(found[1]!, base).href : undefined
}

/** The response with the module, and its path. */
interface Module {
  file: Reply
  pathname: string
  /** True if the page has a hint for the module. */
  isHinted: boolean
}

/** Checks the module that a worker's file names. */
export const checkModule = async (deployment: Deployment, script: Reply): Promise<void> => {
  const { report, requests, page } = deployment
  const url = moduleUrl(script.body, script.url)
  if (url === undefined) {
    const why = "the worker's file does not name strongroom_bg.wasm, so its headers were not read"
    return report.unseen('worker.module', why)
  }
  const { pathname } = new URL(url)
  const file = await requests.send(url, { headers: { 'Accept-Encoding': 'gzip, deflate, br' } })
  const verdict = unusable(file, pathname)
  if (verdict) return report.add('worker.module', verdict)
  const isHinted = `${page.header('link') ?? ''}${page.body}`.includes(pathname)
  return report.judge(MODULE, { file, pathname, isHinted })
}

const TYPE = 'Content-Type: application/wasm (in mime.types of nginx: application/wasm wasm;)'

/** Returns why the vault does not start with this module, or why it was not checked. */
const unusable = (file: Reply, pathname: string): Verdict | undefined => {
  if (file.status !== 200 || /^\s*</.test(file.body))
    return fault(
      'the WebAssembly module is missing',
      `${seenOf(file)} for ${pathname}`,
      `let the server send strongroom_bg.wasm for ${pathname}`,
    )
  if (file.isPartial) return unseen(`the module ${pathname} was not checked (${seenOf(file)})`)
  if (!WebAssembly.validate(file.bytes))
    return fault(
      `what the server sends for ${pathname} is not a whole WebAssembly module`,
      `${file.bytes.length} bytes, which begin with ${JSON.stringify(file.body.slice(0, 8))}`,
      `let the server send the bytes of the file unchanged and to the end: not as text or base64, not a pointer of Git LFS, and with the Content-Encoding that they have (${file.header('content-encoding') ?? 'none'})`,
    )
  return /html/.test(file.header('content-type') ?? '')
    ? fault(
        `${pathname} is a WebAssembly module and has the type of a page, so the vault does not start`,
        seenHeader(file, 'Content-Type'),
        TYPE,
      )
    : undefined
}

/** The lines about the headers of a module that the vault can use. */
export const MODULE: Rows<Module> = {
  'worker.module': ({ file, pathname }) =>
    checkSpeed(
      `${pathname} is a WebAssembly module`,
      !/^application\/wasm$/i.test(file.header('content-type') ?? '') &&
        `${pathname} is not application/wasm, so the browser compiles it only after its download`,
      seenHeader(file, 'Content-Type'),
      TYPE,
    ),
  'worker.compression': ({ file }) =>
    isPrivateUrl(new URL(file.url))
      ? undefined
      : checkSpeed(
          'the module is compressed',
          !file.header('content-encoding') &&
            'the module is sent without compression, and is twice as long as it need be',
          seenHeader(file, 'Content-Encoding'),
          'compress application/wasm and text/javascript: in nginx, gzip_types application/wasm text/javascript;',
        ),
  'worker.module-cache': ({ file, pathname, isHinted }) => {
    const cache = file.header('cache-control') ?? ''
    const isKept = isHinted ? /max-age=[1-9]/i.test(cache) : !/no-store/i.test(cache)
    return checkSpeed(
      'browsers may keep the module',
      !isKept &&
        (isHinted
          ? 'the page has a hint, so each visit downloads the module twice'
          : 'each visit downloads the module again'),
      seenHeader(file, 'Cache-Control'),
      `Cache-Control: ${HASH.test(pathname) ? 'public, max-age=31536000, immutable' : 'no-cache'}`,
    )
  },
}
