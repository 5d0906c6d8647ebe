/**
 * Uses the demo as a person would, in a real browser, and compares what the page shows with the provider's ledger and
 * the API's records. `cargo xtask demo --check` runs this script. Without options, it also tries the exits. With `--edge`, it
 * also copies the cookies of a bound session. Exits with 1 at the first step that fails.
 */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { extname } from 'node:path'
import { launchBrowser } from '../tests/support/browser.mjs'
import { buildSite, PORTS } from './build.mjs'
import { startDemo } from './demo.mjs'
import { clickCall, connected, openDemo, search, signIn, signInAtComparison } from './drive.mjs'
import { checkExits } from './exits/check.mjs'
import { Steps } from './steps.mjs'
import { checkTheft } from './theft/check.mjs'

const MANY = 10

const steps = new Steps()
const [vaultOrigin, edge] = ['--vault-origin', '--edge'].map((option) => process.argv.includes(option))
const theft = edge ? { secure: true } : undefined
// Long enough for the first steps on a slow machine.
const demo = await startDemo({ provider: { accessTokenSeconds: 10 }, vaultOrigin, edge, theft })
const browser = await launchBrowser()

try {
  await check(await browser.newContext())
  if (!edge && !vaultOrigin) await checkExits({ steps, demo })
  if (edge) await checkTheft({ steps, demo, thiefBrowser: browser })
  console.log(`\nall ${steps.count} steps passed`)
} catch (error) {
  console.error(`\n${error.message}`)
  process.exitCode = 1
} finally {
  await browser.close()
  await demo.close()
}

async function check(context) {
  const { ledger, api, site, comparison } = demo
  let page
  let second

  if (edge) {
    await steps.run('the page is the one with a vault, except for one line', async () => {
      const lines = async (handler) => {
        const { issuer } = demo.provider
        const { site } = await buildSite({ issuer, api: api.url, comparison: comparison.origin, handler })
        return new TextDecoder().decode(site['/app.js']).split('\n')
      }
      const [over, usual] = await Promise.all([lines('/auth'), lines('')])
      // The bundler removes the code that starts a worker, so this bundle has only one line that the usual bundle
      // lacks.
      const others = over.filter((line) => !usual.includes(line))
      assert.equal(others.length, 1, others.join('\n'))
      return others[0].trim()
    })
  }

  await steps.run(`the page connects to its ${edge ? 'token handler' : 'vault'}`, async () => {
    page = await openDemo(context, demo)
    assert.equal(await session(page), null, 'there is a session before anyone signed in')
    return 'no session yet'
  })

  await steps.run("signed in through the provider's form", async () => {
    await signIn(page)
    const { claims } = await session(page)
    assert.equal(claims.sub, 'alice')
    assert.equal(page.url(), `${site.origin}/`, 'the response is still in the URL')
    assert.equal(ledger.families(), 1)
    return `${claims.name}, the code is removed from the URL`
  })

  await steps.run('called the API', async () => {
    const status = await clickCall(page, 'orders')
    assert.match(status, /^200/)
    const { authorization, claims } = api.requests.at(-1)
    assert.equal(authorization, `Bearer ${ledger.newest('access_token').value}`)
    assert.equal(claims.sub, 'alice')
    assert.equal(ledger.refreshes().length, 0, 'a fresh access token was refreshed')
    return `${status}; the API verified a token for ${claims.sub}`
  })

  await steps.run('the access token expired', async () => {
    await expired(page)
    // The access token of the next step must outlive that step.
    demo.provider.settings.accessTokenSeconds = 5
    const { value } = ledger.newest('access_token')
    const response = await fetch(`${api.url}me`, { headers: { Authorization: `Bearer ${value}` } })
    assert.equal(response.status, 401, 'the API still accepts the expired token')
    return `the API responds with ${response.status}`
  })

  await steps.run('called again: refreshed, and the refresh token rotated', async () => {
    const status = await clickCall(page, 'orders')
    assert.match(status, /^200/)
    const refresh = onlyRefresh(0)
    assert.deepEqual([refresh.presented, refresh.issued], [1, 2])
    return `${status}; generation ${refresh.presented} → ${refresh.issued}`
  })

  await steps.run('a second tab joined the session', async () => {
    const before = ledger.tokenRequests().length
    const logins = ledger.authorizationRequests().length
    const [popup] = await Promise.all([context.waitForEvent('page'), page.click('#second-tab')])
    second = popup
    await connected(second)
    assert.equal((await session(second)).claims.sub, 'alice')
    assert.equal(ledger.tokenRequests().length, before, 'it requested tokens of its own')
    assert.equal(ledger.authorizationRequests().length, logins, 'it made a login of its own')
    return 'no login, no token request'
  })

  await steps.run(`${2 * MANY} calls at once from two tabs on an expired token: one refresh`, async () => {
    await expired(page)
    demo.provider.settings.accessTokenSeconds = 3600
    const before = ledger.refreshes().length
    api.clear()
    const statuses = (await Promise.all([page, second].map(callMany))).flat()
    assert.deepEqual(new Set(statuses), new Set([200]))
    assert.equal(api.requests.length, 2 * MANY, 'the API received another number of requests')
    const refresh = onlyRefresh(before)
    assert.deepEqual([refresh.presented, refresh.issued], [2, 3])
    return `${statuses.length} × 200; generation 2 → 3`
  })

  await steps.run('searched the page for a token', async () => {
    // The tab must be in front, because timers of a background tab fire only once a second.
    await page.bringToFront()
    await showsOnlyNamesOfCookies(page)
    const planted = await search(page, { planted: true })
    assert.match(planted.verdict, /^Found all/, 'the search does not find what was planted')
    const { objects, found } = await search(page, { planted: false })
    assert.deepEqual(found, [])
    const secrets = ledger.secrets()
    const leaked = await leaks(page, secrets)
    assert.deepEqual(leaked, [], 'the page contains values that the provider issued')
    return `${objects}, none; ${secrets.length} values of the provider's ledger, none; the planted ones, all`
  })

  await steps.run('searched the same app with a token in localStorage', async () => {
    const own = ledger.secrets()
    const [logins, requests] = [ledger.authorizationRequests().length, api.requests.length]
    const frame = await signInAtComparison(page)
    assert.equal(ledger.authorizationRequests().length, logins + 1)
    assert.ok(ledger.tokenRequests().at(-1).codeVerifier, 'its login has no PKCE')
    await frame.click('#call')
    assert.match(await frame.textContent('#result .pill'), /200/)
    assert.equal(api.requests.length, requests + 1)
    const { value } = ledger.newest('access_token')
    assert.equal(api.requests.at(-1).authorization, `Bearer ${value}`)
    // The button of the demo's page searches both.
    const { found } = await search(page, { planted: false })
    assert.deepEqual(found, [])
    assert.match(await frame.textContent('.verdict'), /^1 token/)
    const shown = await frame.textContent('#verdict code')
    assert.equal(shown, `${value.slice(0, 8)}… (${value.length} characters)`)
    // The control: the same detector finds this token where it is, and nothing in the demo's page.
    assert.deepEqual(await leaks(frame, ledger.secrets()), ['access_token'])
    assert.deepEqual(await leaks(frame, own), [], "the comparison contains the vault's tokens")
    assert.deepEqual(await leaks(page, ledger.secrets()), [])
    return `there 1, ${shown}; here none`
  })

  await steps.run('copied the sample from the keyboard: it is the README’s, for this demo', async () => {
    const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
    const guide = await readFile(new URL('../docs/testing-your-app.md', import.meta.url), 'utf8')
    await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: site.origin })
    const files = await page.locator('.listing figcaption > code').allTextContents()
    for (const file of files) {
      const listing = page.locator('.listing', { has: page.locator(`[aria-label="${file}"]`) })
      await listing.getByRole('button', { name: `Copy ${file}` }).press('Enter')
      await listing.getByRole('status').getByText('Copied').waitFor()
      const copied = await page.evaluate(() => navigator.clipboard.readText())
      assert.ok(copied.startsWith(`// ${file}`), copied)
      const original = copied.replaceAll(demo.provider.issuer, `http://127.0.0.1:${PORTS.provider}`)
      const text = original.replaceAll(api.url, `http://127.0.0.1:${PORTS.api}/v1/`)
      if (file !== 'src/auth.worker.ts') {
        assert.ok(readme.includes(`\n\`\`\`${extname(file).slice(1)}\n${copied}\`\`\`\n`), copied)
        continue
      }
      assert.ok(copied.includes(`'${demo.provider.issuer}'`) && copied.includes(`'${api.url}'`), copied)
      assert.ok(guide.includes(`\n\`\`\`ts\n${text.slice(text.indexOf('vault({'))}\`\`\`\n`), copied)
    }
    return files.join(', ')
  })

  await steps.run('clipboard refused: the sample is selected instead', async () => {
    await page.evaluate(() => {
      navigator.clipboard.writeText = () => Promise.reject(new DOMException('no', 'NotAllowedError'))
    })
    const listing = page.locator('.listing').first()
    await listing.getByRole('button').click()
    await listing.getByRole('status').getByText('The lines are selected').waitFor()
    const [selected, whole] = await page.evaluate(() => [
      String(getSelection()),
      document.querySelector('.listing pre').textContent,
    ])
    assert.equal(selected.trim(), whole.trim())
    return `${selected.trim().split('\n').length} lines`
  })

  await steps.run('reloaded the only tab: the session is still there', async () => {
    await second.close()
    const before = ledger.tokenRequests().length
    await page.reload()
    await connected(page)
    assert.equal((await session(page)).claims.sub, 'alice')
    // If the token has expired, the handler refreshes it before it responds, which is a token request.
    if (edge) return 'no login'
    assert.equal(ledger.tokenRequests().length, before)
    return 'no login, no token request'
  })

  await steps.run('signed out: the refresh token family is revoked at the provider', async () => {
    const since = ledger.entries.length
    await page.click('#logout')
    await ledger.until(({ type }) => type === 'family_revoked', { since, what: 'the revocation' })
    await page.waitForSelector('body[data-state=signed-out]')
    assert.ok(ledger.familyRevoked(1))
    assert.equal(await session(page), null)
    return `family 1, after ${ledger.generation(1)} generations`
  })

  await steps.run(`a later call is refused ${edge ? 'by the handler' : 'in the vault'}`, async () => {
    api.clear()
    const code = await page.evaluate((url) => auth.fetch(url).catch((error) => error.code), `${api.url}me`)
    assert.equal(code, 'login_required')
    assert.equal(api.requests.length, 0, 'it was sent nevertheless')
    return code
  })

  /** Resolves when the access token has expired by the provider's clock and by the vault's. */
  async function expired(tab) {
    await ledger.accessTokenExpired()
    await tab.waitForFunction(() => auth.session.accessTokenExpiresAt < Date.now())
  }

  function onlyRefresh(before) {
    const refreshes = ledger.refreshes().slice(before)
    assert.equal(refreshes.length, 1, `the provider got ${refreshes.length} refreshes`)
    assert.equal(refreshes[0].outcome, 'issued')
    return refreshes[0]
  }

  function callMany(tab) {
    return tab.evaluate(
      async ([url, count]) => {
        const calls = Array.from({ length: count }, (_, n) => auth.fetch(`${url}me?n=${n}`))
        return (await Promise.all(calls)).map(({ status }) => status)
      },
      [api.url, MANY],
    )
  }
}

function session(page) {
  return page.evaluate(() => auth.session)
}

/** If the page showed the values of cookies, a search would find planted tokens whose cookies are gone. */
async function showsOnlyNamesOfCookies(page) {
  const set = (cookie) => page.evaluate((text) => (document.cookie = `${text}; SameSite=Strict`), cookie)
  await set('shown=hidden')
  await page
    .locator('strongroom-inspector .page-view')
    .getByText('shown', { exact: true })
    .waitFor({ timeout: 10_000 })
  assert.doesNotMatch(await page.textContent('strongroom-inspector .page-view'), /hidden/)
  await set('shown=; Max-Age=0')
}

/**
 * Resolves with the kinds of those secrets whose values are in the document, the storage or the URL of a page or of a
 * frame.
 */
async function leaks(page, secrets) {
  const texts = await page.evaluate(() =>
    [
      document.documentElement.outerHTML,
      document.cookie,
      location.href,
      JSON.stringify([history.state, { ...localStorage }, { ...sessionStorage }, globalThis.auth?.session]),
    ].join('\n'),
  )
  return secrets.filter(({ value }) => texts.includes(value)).map(({ kind }) => kind)
}
