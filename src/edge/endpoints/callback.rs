//! The end of a login, from the provider back to the app: `GET <base>/callback`.
//!
//! The response is valid only in the browser that began the login, once, and within ten minutes. The session gets a new
//! random ID, so an attacker cannot choose the ID in advance (session fixation).

use alloc::rc::Rc;
use rules::prelude::*;

use crate::config::SameSite;
use crate::csrf;
use crate::endpoints::bind;
use crate::endpoints::login::{self, PendingLogin};
use crate::event::Happened;
use crate::io::OwnResponse;
use crate::isolate::Seldom;
use crate::isolate::outage::Outage;
use crate::lines::Unreadable;
use crate::navigation;
use crate::provider::documents;
use crate::provider::dpop;
use crate::provider::requests;
use crate::provider::tokens;
use crate::provider::verification;
use crate::refresh::end;
use crate::refusal::Refusal;
use crate::request::{RequestContext, TOO_LONG};
use crate::response;
use crate::session::cookies::CookieValue;
use crate::session::{SID, Session};
use crate::store::{coordinator, index, order, seal};
use crate::task::{Task, boxed};
use rules::Secret;
use rules::base::clock::{Millis, UnixMillis};
use rules::base::error::{Code, Error, Result};
use rules::base::http::Outcome;
use rules::base::strings;
use rules::codec::base64url;
use rules::codec::json::Value;
use rules::codec::url::Url;
use rules::login::authorization_request::{self, LoginParams, Pending};
use rules::login::authorization_response::AuthorizationResponse;
use rules::oauth::error_description;
use rules::oauth::id_token::Occasion;
use rules::oauth::identity::Identity;
use rules::oauth::token_endpoint::{self, TokenSet};
use rules::session::EndReason;

/// The end of a repeated callback's query. A page of the handler repeats a callback so that the browser sends the
/// session's cookie, or so that no click of the user remains in the chain of redirects.
const REPEATED: &str = "again";

/// The title of the pages that lead to the app.
const TITLE: &str = "You are signed in";

/// Handles the authorization response.
pub(crate) async fn handle(context: &RequestContext) -> OwnResponse {
    let is_repeated = context.url.query().ends_with(REPEATED);
    let flow = &context.task.config().flow;
    let parsed = AuthorizationResponse::parse(flow, &context.redirection(), context.url.href());
    let (found, used) = match &parsed {
        Ok(authorization) => {
            let (name, value) = login::cookie(context, &authorization.key);
            let found = pending(context, authorization, value).await;
            (found, Some(context.jar().clear(&name)))
        }
        Err(error) => (Err(NoPendingLogin::Refused(error.clone())), None),
    };
    let is_own = found.as_ref().is_ok_and(|login| login.is_own);
    // The user may have clicked on something else, such as the form of a provider on the app's own origin.
    let is_clicked = !is_own && csrf::is_clicked_in_app(&context.request);
    let mut response = if !is_repeated && (lacks_strict_cookie(context) || is_clicked) {
        repeat(context)
    } else {
        let mut response = conclude(context, parsed, found).await;
        // Clear the login's cookie even if the login fails.
        response.cookies.extend(used);
        response
    };
    if is_own {
        return response;
    }
    navigation::set_mark(context, &mut response);
    // This may be the response to a login in an attacker's browser, which script in the opener's page must not read.
    response::sever(response)
}

/// Finishes the login, or responds to its failure.
async fn conclude(
    context: &RequestContext,
    parsed: Result<AuthorizationResponse>,
    found: core::result::Result<PendingLogin, NoPendingLogin>,
) -> OwnResponse {
    let failure = match (parsed, found) {
        (Ok(authorization), Ok(mut login)) => {
            match boxed(finish_login(context, authorization, &mut login)).await {
                Ok(response) => return response,
                Err(error) => return failed(context, &error, Some(&login)).await,
            }
        }
        (Ok(authorization), Err(NoPendingLogin::OtherVersion)) if authorization.may_restart() => {
            match boxed(restart(context)).await {
                Ok(response) => return response,
                Err(error) => error,
            }
        }
        (Ok(authorization), Err(NoPendingLogin::Missing)) if authorization.may_restart() => {
            match boxed(replace(context)).await {
                Some(Ok(response)) => return response,
                Some(Err(error)) => error,
                None => unknown_login(context),
            }
        }
        (_, Err(NoPendingLogin::OtherVersion | NoPendingLogin::Missing)) => unknown_login(context),
        (_, Err(NoPendingLogin::Refused(error))) | (Err(error), _) => error,
    };
    failed(context, &failure, None).await
}

/// Begins a new login in place of one whose cookie this version of the handler cannot read. The cookie shows that a login
/// began in this browser. This happens only once, because the next response may reach another version again.
async fn restart(context: &RequestContext) -> Result<OwnResponse> {
    let message = msg!("a login's cookie was written by another version of the handler");
    context.task.fault_seldom(Seldom::CookieOutdated, message);
    begin_once(context).await
}

/// Begins a new login in place of one whose cookie has made room for later ones, as in a browser that restores many tabs. The
/// cookie of another login shows that this browser begins logins. A user who has signed out must click first. Returns `None`
/// without such a cookie, or if the browser has a session.
async fn replace(context: &RequestContext) -> Option<Result<OwnResponse>> {
    let session = boxed(context.current_session()).await;
    if !matches!(session, Ok(None) | Err(Refusal::Ended(_))) || !has_login(context).await {
        return None;
    }
    let why = msg!("the browser has the cookie of another login only, so a new login begins");
    let error = Error::new(Code::LoginUnknown, why);
    context.task.error_seldom(Seldom::Login, &error);
    if let Some(cookies) = boxed(login::cookies_if_click_needed(context)).await {
        let mut page = login::sign_in_page(&login::address(context, "/", false));
        page.cookies = cookies;
        return Some(Ok(page));
    }
    Some(begin_once(context).await)
}

/// Returns true if the browser has the cookie of a login that began at this handler.
async fn has_login(context: &RequestContext) -> bool {
    let cookies = context.cookies();
    let prefix = context.jar().login("");
    for name in cookies.names(&prefix) {
        if let CookieValue::Value(sealed) = cookies.value(name)
            && let Some(key) = name.strip_prefix(&*prefix)
            && seal::open(&context.task, &login::purpose(key), &sealed)
                .await
                .is_ok()
        {
            return true;
        }
    }
    false
}

/// Begins a login that no other one replaces.
async fn begin_once(context: &RequestContext) -> Result<OwnResponse> {
    let params = LoginParams {
        is_final: true,
        ..LoginParams::default()
    };
    login::begin(context, Box::new(params), false).await
}

/// Responds to a login that fails. If this response of the provider was used before, and the user is signed in, the
/// browser goes to the app: the user went back, reloaded the page, or the browser sent the request twice.
async fn failed(
    context: &RequestContext,
    error: &Error,
    login: Option<&PendingLogin>,
) -> OwnResponse {
    let refuse = || {
        // Anybody can send a response that belongs to no login.
        if login.is_some() {
            observe(&context.task, Some(error.code()));
        }
        login::failed(context, error, login)
    };
    let since = match (error.code(), login) {
        // The first request has cleared the login's cookie.
        (Code::LoginUnknown, _) => 0,
        // The first request has used the code, and its session began after the login.
        (Code::CodeRejected, Some(login)) => login.pending.created_at,
        _ => return refuse(),
    };
    let cookies = match boxed(context.current_session()).await {
        Ok(Some((session, is_new))) if session.began > since => {
            boxed(context.updated_cookies(session, is_new)).await
        }
        // The browser renews no bound cookie for this address.
        Err(Refusal::BoundCookieMissing { .. }) if has_session_since(context, since).await => {
            Vec::new()
        }
        _ => return refuse(),
    };
    let mut response = match login {
        Some(login) => return_to_app(context, login).await,
        None => navigation::to_app(context, TITLE, "/"),
    };
    response.cookies.extend(cookies);
    response
}

/// Emits an event for the observer about a login that has succeeded or failed.
fn observe(task: &Task, code: Option<Code>) {
    let duration = task.arrived().elapsed(&task.now());
    task.observe(Happened::Callback { code, duration });
}

/// Returns true if the browser's cookie is of a session that began later.
async fn has_session_since(context: &RequestContext, since: UnixMillis) -> bool {
    let presented = boxed(context.presented()).await;
    matches!(presented, Ok(Some(session)) if session.began > since)
}

/// Builds a page of the app's own origin that repeats this request.
fn repeat(context: &RequestContext) -> OwnResponse {
    let path = context.url.relative_without_fragment();
    let joint = if context.url.query().is_empty() {
        "?"
    } else {
        "&"
    };
    let again = [path, joint, REPEATED].concat();
    response::link_page(200, "Signing you in", &again, None)
}

async fn finish_login(
    context: &RequestContext,
    authorization: AuthorizationResponse,
    login: &mut PendingLogin,
) -> Result<OwnResponse> {
    let task = &context.task;
    coordinator::find_time(task).await;
    let key = login.key.take();
    let pending = &*login.pending;
    check(task, pending)?;
    let metadata = documents::metadata(task).await?;
    let code = match authorization.code(pending, &metadata) {
        Ok(code) => code,
        Err(error) => {
            let description = authorization.fault(&error, pending);
            requests::log_description(task, description, authorization.secrets(), pending);
            let Some(params) = authorization.to_repeat(&error, pending) else {
                return Err(error);
            };
            return boxed(login::begin(context, params, login.is_own)).await;
        }
    };
    let requested = task.now().wall;
    let endpoint = &metadata.token_endpoint;
    let exchanged = exchange_code(
        context,
        endpoint,
        code,
        pending,
        key.as_ref(),
        authorization.secrets(),
    );
    let tokens = exchanged.await?;
    let user = verify(context, &tokens, key.as_ref(), pending).await?;
    let refused = judge(task, &tokens, pending);
    let identifiers = match order::identifiers(task, &user).await {
        Ok(identifiers) => identifiers,
        Err(error) => {
            revoke_unused(context, &tokens).await;
            return Err(error);
        }
    };
    let random = base64url::encode(&task.isolate().random::<SID>());
    let sid = [random, identifiers].concat();
    let scope = &task.config().flow.scope;
    let session = Session::begin(sid, &user, *tokens, requested, scope).with_dpop_key(key);
    let session = Rc::new(session.at_host(context.login_host()));
    let cookies = save(context, &session, refused).await?;
    task.observe_session(&session, Happened::SessionBegan);
    // The previous session is ended last, because a failed login must not end it.
    end_previous_session(context, pending, &user).await;
    let mut response = return_to_app(context, login).await;
    response.cookies.extend(cookies);
    let storage = task.config().storage;
    bind::registration::offer(context, &session, storage, &mut response).await;
    if context.has_left() {
        let jar = context.jar();
        response.cookies.push(jar.clear(&jar.left()));
    }
    if task.config().admin {
        boxed(add_to_index(context, session)).await;
    }
    observe(task, None);
    Ok(response)
}

/// Adds the session to the index of its user, in a task of its own: the login does not wait for it.
async fn add_to_index(context: &RequestContext, session: Rc<Session>) {
    let described = context.request.description.as_deref().map(Value::parse);
    let described = described.and_then(core::result::Result::ok);
    let text = described.as_ref().and_then(Value::as_str);
    let text =
        text.filter(|text| text.len() <= index::LONGEST_DESCRIPTION && strings::is_line(text));
    let text = text.unwrap_or_default().to_owned();
    let name = ["index ", &session.sid].concat();
    let flight = context.task.start_flight(&name, |part| async move {
        index::add(&part, &session, &text).await;
    });
    context.task.sleep(Some(flight), Millis::ZERO).await;
}

/// Checks that the login is not too old, and began at the configured provider.
fn check(task: &Task, login: &Pending) -> Result<()> {
    login.check_age(task.now().wall, task.tolerance())?;
    if login.issuer != task.config().flow.issuer {
        return Err(Error::new(
            Code::IssuerMismatch,
            msg!("the login began with another issuer than the configured one"),
        ));
    }
    Ok(())
}

/// Logs what is wrong with tokens. Returns the reason to refuse them, if there is one.
fn judge(task: &Task, tokens: &TokenSet, login: &Pending) -> Option<Error> {
    if let Some(flaws) = tokens.warning() {
        task.fault(&flaws);
    }
    let flow = &task.config().flow;
    if tokens.misses_refresh_token(&flow.scope) && !flow.asks_consent && !login.is_silent {
        let message =
            msg!("offline_access was requested, and the provider issued no refresh token");
        task.fault_of(Code::RefreshTokenMissing, &[message]);
    }
    let exceeded = tokens.scope_beyond(&flow.scope);
    if let Some(exceeded) = &exceeded {
        task.error_seldom(Seldom::Scopes, exceeded);
    }
    if let Some(reduced) = tokens.scope_short_of(&flow.scope) {
        task.error_seldom(Seldom::Scopes, &reduced);
    }
    let refuses_others = flow.refuses_unrequested_scopes;
    tokens
        .unusable_scope()
        .or(exceeded)
        .filter(|_| refuses_others)
}

/// Returns the user to whom the tokens were issued. If they are not accepted, revokes the refresh token.
async fn verify(
    context: &RequestContext,
    tokens: &TokenSet,
    key: Option<&Secret>,
    pending: &Pending,
) -> Result<Identity> {
    let task = &context.task;
    let occasion = Occasion::CodeExchange {
        nonce: &pending.nonce,
        max_age_seconds: pending.max_age,
    };
    let verified = verification::verify_login(task, tokens, key, occasion).await;
    if verified.is_err() {
        revoke_unused(context, tokens).await;
    }
    Ok(verified?)
}

/// Revokes the refresh token of a login that fails, unless the browser has a session: many providers would also revoke the
/// tokens of that session, which belong to the same grant.
async fn revoke_unused(context: &RequestContext, tokens: &TokenSet) {
    if matches!(context.presented().await, Ok(None)) {
        tokens::revoke_refresh_token(&context.task, tokens.refresh_token.as_ref()).await;
    }
}

/// Saves the new session, unless it is refused, and returns its cookies. Without them, nothing uses the new refresh token, so it
/// is revoked.
async fn save(
    context: &RequestContext,
    session: &Rc<Session>,
    refused: Option<Error>,
) -> Result<Vec<String>> {
    let saved = match refused {
        Some(refused) => Err(Refusal::Later(refused, Millis::ZERO)),
        None => {
            let storage = context.task.config().storage;
            context.save_session(session, storage).await
        }
    };
    match saved {
        Ok(cookies) => Ok(cookies),
        Err(refusal) => {
            tokens::revoke(&context.task, session).await;
            Err(unsaved(refusal))
        }
    }
}

/// Exchanges the authorization code for tokens.
async fn exchange_code(
    context: &RequestContext,
    endpoint: &str,
    code: &Secret,
    pending: &Pending,
    key: Option<&Secret>,
    secrets: [&str; 2],
) -> Result<Box<TokenSet>> {
    let task = &context.task;
    let request = token_endpoint::code_request(
        endpoint,
        &task.config().flow.client_id,
        context.redirect_uri.href(),
        code,
        &pending.code_verifier,
    );
    let outcome = dpop::send_proven(task, request, key).await;
    let description = error_description::of_response(&outcome);
    requests::log_description(task, description.as_ref(), secrets, pending);
    if let Outcome::Reply(reply) = &outcome
        && reply.status < 500
        && reply.status != 429
    {
        task.change_outage("", Outage::end);
    }
    let Outcome::Reply(reply) = &outcome else {
        return Err(Error::new(
            Code::ProviderUnavailable,
            msg!("the token endpoint did not respond"),
        ));
    };
    token_endpoint::read_code_exchange(reply, task.config().flow.wanted_tokens())
}

/// The reason why there is no pending login for a response.
enum NoPendingLogin {
    /// The browser has no cookie of the login.
    Missing,
    /// The login's cookie was written by another version of the handler.
    OtherVersion,
    Refused(Error),
}

fn unknown_login(context: &RequestContext) -> Error {
    let has_cookies = !context.cookies().names(&context.jar().session()).is_empty();
    let why = match has_cookies {
        true => msg!("this response matches no login that began in this browser at this address"),
        false => msg!(
            "the browser has sent no cookie of a login: it may block cookies, or signing in took longer than ten minutes"
        ),
    };
    Error::new(Code::LoginUnknown, why)
}

/// Returns the pending login for this response.
async fn pending(
    context: &RequestContext,
    authorization: &AuthorizationResponse,
    found: CookieValue,
) -> core::result::Result<PendingLogin, NoPendingLogin> {
    let CookieValue::Value(sealed) = found else {
        return Err(NoPendingLogin::Missing);
    };
    let purpose = login::purpose(login::cookie_key(&authorization.key));
    let opened = seal::open(&context.task, &purpose, &sealed).await;
    let mut login = match opened
        .and_then(|text| login::from_text(text.expose()).ok_or(Unreadable::OtherVersion))
    {
        Ok(login) => login,
        Err(Unreadable::OtherVersion) => return Err(NoPendingLogin::OtherVersion),
        Err(_) => return Err(NoPendingLogin::Refused(unknown_login(context))),
    };
    if login.key.is_some() != context.task.config().flow.uses_dpop {
        return Err(NoPendingLogin::Refused(unknown_login(context)));
    }
    let return_to = &mut login.pending.return_to;
    *return_to = authorization_request::return_to(&context.redirect_uri, Some(return_to))
        .map_err(NoPendingLogin::Refused)?;
    Ok(login)
}

/// Ends the session that the browser had before, and warns if the user should have signed in again. The refresh token
/// of that session is revoked only if the session belongs to another user. For the same user, many providers would also
/// revoke the new token, which belongs to the same grant.
///
/// A bound session also ends without its bound cookie, which browsers often do not send here. So the user who signs in again
/// leaves no session behind, and a copy of the cookie can end the session, but not use it.
async fn end_previous_session(context: &RequestContext, pending: &Pending, user: &Identity) {
    let Ok(Some(before)) = context.presented().await else {
        return;
    };
    let previous = before.user();
    if let Some(previous) = &previous
        && let Some(warning) = pending.sign_in_warning(previous, user)
    {
        context.task.fault(&warning);
    }
    let is_same = previous.is_some_and(|previous| !previous.may_be_other_user(user.subject()));
    if is_same {
        end::end_replaced(&context.task, &before).await;
    } else {
        end::end_session(&context.task, &before, EndReason::LoggedOut).await;
    }
}

/// Returns true if the browser may have withheld the `SameSite=Strict` cookie, because no page of this site began this
/// navigation. If a page of this origin repeats the navigation, the cookie is sent.
fn lacks_strict_cookie(context: &RequestContext) -> bool {
    let is_near = matches!(
        context.request.site.as_deref(),
        Some("same-origin" | "same-site")
    );
    context.task.config().cookie.same_site == SameSite::Strict && !is_near
}

/// Sends the browser to the page that the user came from. After a login of the app, a page of this origin forwards the
/// browser to a route. After any other login, a page has a link to the route, or to a path that a server may read as one:
/// otherwise any site could navigate the user's window to a route, with a token. A page also forwards the browser if it
/// would withhold a `SameSite=Strict` cookie after a redirect from the provider.
async fn return_to_app(context: &RequestContext, login: &PendingLogin) -> OwnResponse {
    let path = login.pending.return_to.as_str();
    let is_route = login::is_of_route(context, path);
    if is_route
        && !login.is_own
        && let Some(url) = Url::parse_within(path, &context.url)
    {
        return boxed(navigation::ask_for_click(context, 200, TITLE, &url)).await;
    }
    if !login.is_own && login::leads_to_route(context, path) {
        return response::link_page(200, TITLE, path, Some(path));
    }
    if is_route || lacks_strict_cookie(context) {
        return response::link_page(200, TITLE, path, None);
    }
    if login.is_own {
        return response::redirect(path.to_owned());
    }
    navigation::to_app(context, TITLE, path)
}

/// Returns the error of a login whose session could not be saved.
fn unsaved(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Later(error, _) => error,
        _ => Error::new(Code::LimitExceeded, TOO_LONG),
    }
}
