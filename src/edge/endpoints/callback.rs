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
use rules::base::http::{HttpRequest, Outcome};
use rules::base::strings;
use rules::codec::base64url;
use rules::codec::json::Value;
use rules::codec::url::Url;
use rules::login::authorization_request::{self, LoginParams, Pending};
use rules::login::authorization_response::AuthorizationResponse;
use rules::login::completion::{Completion, Failed, Granted, Known, LOSES_REFRESH_TOKEN, Step};
use rules::oauth::identity::Identity;
use rules::oauth::metadata::Metadata;
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
            match boxed(finish_login(context, Box::new(authorization), &mut login)).await {
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
    authorization: Box<AuthorizationResponse>,
    login: &mut PendingLogin,
) -> Result<OwnResponse> {
    let task = &context.task;
    coordinator::find_time(task).await;
    let key = login.key.take();
    let pending = &*login.pending;
    let flow = &task.config().flow;
    pending.check(flow, task.now().wall, task.tolerance())?;
    let metadata = documents::metadata(task).await?;
    let requested = task.now().wall;
    let granted = match complete(context, &metadata, authorization, pending, key.as_ref()).await {
        Ok(granted) => *granted,
        // A refused client pauses no refreshes here: the code may be one of another client, which anybody can send.
        Err(failed) => {
            if let Some(description) = &failed.description {
                requests::log_provider_says(task, description);
            }
            if let Some(params) = failed.repetition {
                return boxed(login::begin(context, params, login.is_own)).await;
            }
            if let Some(tokens) = &failed.tokens {
                revoke_unused(context, tokens.refresh_token.as_ref(), None).await;
            }
            return Err(failed.error);
        }
    };
    task.client_accepted();
    report(task, &granted);
    // The operator may have chosen scopes for which the provider issues no refresh token.
    let is_missed = granted.lacks_refresh_token && granted.tokens.misses_refresh_token(&flow.scope);
    let why_missed = is_missed.then_some(granted.why_no_refresh_token);
    let Granted { tokens, user, .. } = granted;
    let identifiers = match order::identifiers(task, &user).await {
        Ok(identifiers) => identifiers,
        Err(error) => {
            revoke_unused(context, tokens.refresh_token.as_ref(), Some(&user)).await;
            return Err(error);
        }
    };
    let random = base64url::encode(&task.isolate().random::<SID>());
    let sid = [&*random, &identifiers].concat();
    let session = Session::begin(sid, &user, *tokens, requested, &flow.scope).with_dpop_key(key);
    let session = Rc::new(session.at_host(context.login_host()));
    let cookies = save(context, &session, &user).await?;
    task.observe_session(&session, Happened::SessionBegan);
    // The previous session is ended last, because a failed login must not end it.
    let had_refresh_token = end_previous_session(context, pending, &user).await;
    if had_refresh_token && session.refresh_token.is_none() {
        task.fault_of(Code::RefreshTokenMissing, &[LOSES_REFRESH_TOKEN]);
    } else if let Some(why) = why_missed {
        let message =
            msg!("offline_access was requested, and the provider issued no refresh token");
        task.fault_of(Code::RefreshTokenMissing, &[message, why]);
    }
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

/// Logs the warnings about the tokens of a login that succeeds.
fn report(task: &Task, granted: &Granted) {
    for warning in &granted.warnings {
        match warning.code() {
            Code::ScopeExceeded | Code::ScopeReduced | Code::ClaimMissing => {
                task.error_seldom(Seldom::Scopes, warning);
            }
            _ => task.fault(warning),
        }
    }
}

/// Exchanges the code for tokens, and finds out to which user they were issued. `key` is the DPoP key of the login.
async fn complete(
    context: &RequestContext,
    metadata: &Metadata,
    authorization: Box<AuthorizationResponse>,
    pending: &Pending,
    key: Option<&Secret>,
) -> core::result::Result<Box<Granted>, Box<Failed>> {
    let task = &context.task;
    let known = || Known {
        flow: &task.config().flow,
        metadata: Some(metadata),
        pending,
        redirect_uri: &context.redirect_uri,
        now_seconds: task.now().wall / 1000,
        has_targets: false,
        secrets: vec![requests::client_secret(task)],
        no_response: |_| {
            let why = msg!("the token endpoint did not respond");
            Error::new(Code::ProviderUnavailable, why)
        },
    };
    let mut completion = Completion::new(authorization);
    let mut step = completion.send(&known());
    loop {
        step = match step {
            Step::Send(request) => {
                let outcome = send(task, request, key).await;
                completion.responded(&known(), &outcome)
            }
            Step::CheckSignature => {
                let valid = match completion.id_token() {
                    Some(id_token) => verification::check_id_token(task, id_token).await,
                    None => Ok(false),
                };
                completion.signature_checked(&known(), valid)
            }
            Step::Done(granted) => return Ok(granted),
            Step::Failed(failed) => return Err(failed),
        };
    }
}

/// Sends a request of a login: the exchange of the code, or the request for the profile, which is repeated after a failure
/// that may be over in a moment.
async fn send(task: &Task, request: HttpRequest, key: Option<&Secret>) -> Outcome {
    if let Some(access_token) = &request.access_token {
        let send = || {
            boxed(dpop::send_with_token(
                task,
                request.clone(),
                access_token,
                key,
            ))
        };
        return requests::repeated(task, true, &send).await;
    }
    let outcome = dpop::send_proven(task, request, key).await;
    if let Outcome::Reply(reply) = &outcome
        && reply.status < 500
        && reply.status != 429
    {
        task.change_outage("", Outage::end);
    }
    outcome
}

/// Revokes the refresh token of a login that fails, unless the browser may have a session of the same user, here or at
/// another tenant: many providers would also revoke the tokens of that session, which belong to the same grant.
async fn revoke_unused(
    context: &RequestContext,
    refresh_token: Option<&Secret>,
    user: Option<&Identity>,
) {
    if context.task.config().flow.forgets {
        return;
    }
    let has_grant = match (context.presented().await, user) {
        (Ok(None), _) => false,
        (Ok(Some(session)), Some(user)) => {
            let known = session.user();
            !known.is_some_and(|known| known.is_other_user(user.subject()))
        }
        _ => true,
    };
    if !has_grant {
        tokens::revoke_refresh_token(&context.task, refresh_token).await;
    }
}

/// Returns true if a session is certainly of this user.
fn is_of(session: &Session, user: &Identity) -> bool {
    let known = session.user();
    known.is_some_and(|known| !known.may_be_other_user(user.subject()))
}

/// Saves the new session, and returns its cookies. Without them, nothing uses the new refresh token.
async fn save(
    context: &RequestContext,
    session: &Rc<Session>,
    user: &Identity,
) -> Result<Vec<String>> {
    let storage = context.task.config().storage;
    match context.save_session(session, storage).await {
        Ok(cookies) => Ok(cookies),
        Err(refusal) => {
            revoke_unused(context, session.refresh_token.as_ref(), Some(user)).await;
            Err(unsaved(refusal))
        }
    }
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

/// Ends the session that the browser had before, and warns if the user should have signed in again. Returns true if that
/// session has a refresh token. This token is revoked only if the session belongs to another user. For the same user, many
/// providers would also revoke the new token, which belongs to the same grant.
///
/// A bound session also ends without its bound cookie, which browsers often do not send here. So the user who signs in again
/// leaves no session behind, and a copy of the cookie can end the session, but not use it.
async fn end_previous_session(
    context: &RequestContext,
    pending: &Pending,
    user: &Identity,
) -> bool {
    let Ok(Some(before)) = context.presented().await else {
        return false;
    };
    let previous = before.user();
    if let Some(previous) = &previous
        && let Some(warning) = pending.sign_in_warning(previous, user)
    {
        context.task.fault(&warning);
    }
    if is_of(&before, user) {
        end::end_replaced(&context.task, &before).await;
    } else {
        let reason = EndReason::of_logout(&context.task.config().flow);
        end::end_session(&context.task, &before, reason).await;
    }
    before.refresh_token.is_some()
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
