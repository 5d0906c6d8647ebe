/** The browsers of the test of exits. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { launchProfile, shareBrowser } from '../browser.mjs'

/**
 * Starts a whole Chromium with a profile on the disk. Without a profile, Chromium resolves no name and opens no connection
 * ahead of a request. With `dns`, this Chromium asks the other server for every name.
 *
 * @param {{ template: string, spki: string }} [dns]
 */
export async function startProfile(dns) {
  const folder = await mkdtemp(join(tmpdir(), 'exits-'))
  const context = await launchProfile(folder, dns && { args: await askFor(folder, dns) })
  const close = async () => {
    await context.close()
    await rm(folder, { recursive: true })
  }
  return { context, close }
}

/** Makes the other server the DNS server of a profile. Resolves with the arguments for its Chromium. */
async function askFor(folder, { template, spki }) {
  const state = { dns_over_https: { mode: 'secure', templates: template } }
  await writeFile(join(folder, 'Local State'), JSON.stringify(state))
  return [`--ignore-certificate-errors-spki-list=${spki}`]
}

/**
 * Starts both browsers. The result's `open(address, kind)` opens a page of a kind of `ways.mjs`, and `leave(page)`
 * closes it, together with all windows that it has opened.
 */
export async function startBrowsers(dns) {
  const [use, profile] = await Promise.all([shareBrowser(), startProfile(dns)])
  return {
    async open(address, kind) {
      const context = kind === 'profile' ? profile.context : await use.browser.newContext()
      const page = await context.newPage()
      await page.goto(address)
      return page
    },
    leave: (page) => (page.context() === profile.context ? page.close() : page.context().close()),
    close: () => Promise.all([use.close(), profile.close()]),
  }
}
