import { ACCOUNTS, authenticate } from './accounts.mjs'
import { readForm } from './body.mjs'
import { escape, sendPage, sendStyle } from './pages.mjs'

const SCOPES = {
  openid: 'Know who you are',
  profile: 'Read your name and language',
  email: 'Read your e-mail address',
  offline_access: 'Stay signed in while you use the app',
  orders: 'Read and place orders for you',
}

/**
 * Returns the pages that the provider shows between the authorization request and its response: sign-in, then consent.
 * These pages are plain forms without script, so a test can fill them in as a person does.
 *
 * @param {object} options
 * @param {() => import('oidc-provider').Provider} options.provider
 * @param {import('./ledger.mjs').Ledger} options.ledger
 * @returns Koa middleware.
 */
export function interactions({ provider, ledger }) {
  return async (ctx, next) => {
    if (ctx.path === '/assets/provider.css') return sendStyle(ctx)
    if (!/^\/interaction\/[\w-]+$/.test(ctx.path)) return next()
    const details = await readDetails(ctx, provider())
    if (!details) return sendExpired(ctx)
    if (ctx.method !== 'POST') return showStep(ctx, provider(), details)
    return takeAnswer(ctx, provider(), details, ledger)
  }
}

async function readDetails(ctx, provider) {
  try {
    return await provider.interactionDetails(ctx.req, ctx.res)
  } catch (error) {
    if (error.name === 'SessionNotFound') return undefined
    throw error
  }
}

async function takeAnswer(ctx, provider, details, ledger) {
  const form = await readForm(ctx.req)
  if (form.action === 'deny') {
    const denied = { error: 'access_denied', error_description: 'the user denied consent' }
    return finish(ctx, provider, denied, false)
  }
  if (details.prompt.name === 'consent') {
    return finish(ctx, provider, { consent: { grantId: await saveGrant(provider, details) } }, true)
  }
  const account = authenticate(form.username, form.password)
  if (!account) return showStep(ctx, provider, details, form)
  ledger.record({ type: 'sign_in', at: Date.now(), account: account.username })
  // By signing in, the user has also chosen an account.
  const chosen = details.prompt.name === 'select_account' ? { select_account: {} } : {}
  return finish(ctx, provider, { login: { accountId: account.username }, ...chosen }, false)
}

async function finish(ctx, provider, result, mergeWithLastSubmission) {
  ctx.respond = false
  await provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission })
}

async function saveGrant(provider, { grantId, session, params, prompt: { details } }) {
  const grant = grantId
    ? await provider.Grant.find(grantId)
    : new provider.Grant({ accountId: session.accountId, clientId: params.client_id })
  if (details.missingOIDCScope) grant.addOIDCScope(details.missingOIDCScope.join(' '))
  if (details.missingOIDCClaims) grant.addOIDCClaims(details.missingOIDCClaims)
  for (const [resource, scopes] of Object.entries(details.missingResourceScopes ?? {})) {
    grant.addResourceScope(resource, scopes.join(' '))
  }
  return grant.save()
}

/** Returns the source expression by which a policy allows a redirect URI: its origin, or its private-use scheme. */
function formTarget(uri) {
  const { origin, protocol } = new URL(uri)
  return origin === 'null' ? protocol : origin
}

async function showStep(ctx, provider, details, rejected) {
  const client = await provider.Client.find(details.params.client_id)
  const view = {
    app: client.clientName ?? client.clientId,
    targets: [...client.redirectUris, details.params.redirect_uri].filter(Boolean).map(formTarget),
  }
  const body = details.prompt.name === 'consent' ? consent(view, details) : login(view, details, rejected)
  // The response to this form redirects to the app. Browsers apply `form-action` to such redirects too, so the policy
  // must allow the app's origins.
  sendPage(ctx, { ...body, formAction: view.targets, status: rejected ? 401 : 200 })
}

function login({ app }, { params }, rejected) {
  const username = rejected?.username ?? params.login_hint ?? ''
  const message = 'Wrong username or password. The demo accounts are listed below.'
  return {
    title: 'Sign in',
    body: `
      <h1>Sign in</h1>
      <p class="lead">to continue to <strong>${escape(app)}</strong></p>
      ${rejected ? `<p class="error" role="alert">${message}</p>` : ''}
      <form method="post">
        <label for="username">Account</label>
        <input id="username" name="username" value="${escape(username)}" autocomplete="username" autocapitalize="none"
          spellcheck="false" ${username ? '' : 'autofocus'}>
        <label for="password">Password</label>
        <input id="password" name="password" type="password" autocomplete="current-password" ${username ? 'autofocus' : ''}>
        <div class="buttons">
          <button name="action" value="login">Sign in</button>
          <button name="action" value="deny" class="quiet">Cancel</button>
        </div>
      </form>
      <table>
        <caption>Demo accounts</caption>
        <thead><tr><th scope="col">Account</th><th scope="col">Password</th></tr></thead>
        <tbody>${ACCOUNTS.map(accountRow).join('')}</tbody>
      </table>`,
  }
}

function accountRow({ username, password }) {
  return `<tr><td><code>${escape(username)}</code></td><td><code>${escape(password)}</code></td></tr>`
}

function consent({ app }, { params, session }) {
  const scopes = (params.scope ?? '').split(' ').filter((scope) => SCOPES[scope])
  return {
    title: 'Allow access',
    body: `
      <h1>Allow access?</h1>
      <p class="lead"><strong>${escape(app)}</strong> would like, for <code>${escape(session.accountId)}</code>, to</p>
      <ul class="scopes">${scopes.map(scopeItem).join('')}</ul>
      <form method="post">
        <div class="buttons">
          <button name="action" value="allow" autofocus>Allow</button>
          <button name="action" value="deny" class="quiet">Deny</button>
        </div>
      </form>`,
  }
}

function scopeItem(scope) {
  return `<li><span>${SCOPES[scope]}</span> <code>${scope}</code></li>`
}

function sendExpired(ctx) {
  sendPage(ctx, {
    title: 'Start again',
    status: 400,
    body: `<h1>Start again</h1>
      <p class="lead">This sign-in is over or was begun in another browser. Go back to the app and sign in again.</p>`,
  })
}
