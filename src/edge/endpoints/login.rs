//! The start of a login, up to the redirect to the provider: `GET <base>/login`.
//!
//! Each login has its own cookie, so several tabs may sign in at once. The cookie holds `state`, `nonce` and
//! `code_verifier`, which bind the provider's response to this browser (RFC 9700 2.1 and 4.7).

use rules::prelude::*;

use crate::config::ClientAuth;
use crate::event::Happened;
use crate::io::OwnResponse;
use crate::isolate::Seldom;
use crate::lines::{LineReader, LineWriter};
use crate::navigation;
use crate::provider::documents;
use crate::provider::dpop;
use crate::provider::dpop::KeyPair;
use crate::provider::requests;
use crate::refusal::{RETRY_AFTER, Refusal};
use crate::request::RequestContext;
use crate::response;
use crate::session::cookies::{CookieValue, fits};
use crate::store::{coordinator, seal};
use crate::task::{Task, boxed};
use rules::Secret;
use rules::base::error::{Code, Error, Result};
use rules::codec::form::{self, Form};
use rules::codec::json;
use rules::codec::url::Url;
use rules::config::Flow;
use rules::egress::policy::spelling;
use rules::login::authorization_request::{self, AuthorizationRequest, LoginParams, Pending};
use rules::login::pushed_authorization::{self, PushOutcome};
use rules::oauth::error_description;
use rules::session::profile;

/// Largest number of pending logins of one browser.
const MOST: usize = 5;

/// Length of the part of a login's key that is in the name of its cookie.
const KEY: usize = 22;

/// Returns the part of a login's key that is in the name of its cookie.
pub(crate) fn cookie_key(key: &str) -> &str {
    key.get(..KEY).unwrap_or(key)
}

/// Returns the purpose that binds the sealed login to the name of its cookie. `key` is the part of the login's key that is in
/// this name.
pub(crate) fn purpose(key: &str) -> String {
    ["login ", key].concat()
}

/// Marks a login that did not begin in a page of the app. Links in the handler's own pages carry the mark on: a click there
/// does not show that the user wants `returnTo`.
const OUTSIDE: &str = "outside";

/// The parameter of a login to which the app's server redirects, perhaps without the user's wish to sign in.
const AUTOMATIC: &str = "automatic";

/// Redirects the browser to the provider, or asks the user to begin the login: see [`cookies_if_click_needed`].
pub(crate) async fn handle(context: &RequestContext) -> OwnResponse {
    let mut is_own = navigation::is_begun_by_app(context);
    let mut sent = None;
    let begun = match login_params(context.url.query(), &context.task.config().flow) {
        Ok(asked) => {
            is_own &= !asked.is_outside;
            if asked.is_automatic
                && let Some(cookies) = boxed(cookies_if_click_needed(context)).await
            {
                let mut page = sign_in_page(&without_automatic(context, is_own));
                page.cookies = cookies;
                return page;
            }
            if asked.is_automatic
                && let Ok(path) = target(context, &asked.params)
            {
                let address = [&*context.origin, &path].concat();
                if let Some(page) = boxed(navigation::renewing_page(context, &address)).await {
                    return page;
                }
                match navigation::times_sent(context, &address) {
                    2 => return lost_session_page(context, is_own),
                    times => sent = Some(navigation::sent_cookie(context, &address, times + 1)),
                }
            }
            boxed(begin(context, asked.params, is_own)).await
        }
        Err(error) => Err(error),
    };
    let mut response = begun.unwrap_or_else(|error| failed(context, &error, None));
    if is_own {
        response.cookies.extend(navigation::end_mark(context));
    }
    response.cookies.extend(sent);
    response
}

/// Builds the page that ends a loop: two logins for one address within seconds, and its server saw no session.
fn lost_session_page(context: &RequestContext, is_own: bool) -> OwnResponse {
    let message = msg!(
        "a login began for the third time within ten seconds for one address: the session's cookie does not arrive there, or its proxy does not ask this handler"
    );
    context.task.fault_seldom(Seldom::Login, message);
    let sentence = "You have signed in twice, but this page did not get your session. Your browser may refuse the cookie.";
    response::question_page(
        "Sign in again?",
        sentence,
        &without_automatic(context, is_own),
    )
}

/// Returns the path of the app to which a login returns. The callback will use the normalized form.
fn target(context: &RequestContext, params: &LoginParams) -> Result<String> {
    authorization_request::return_to(&context.redirect_uri, params.return_to.as_deref())
}

/// Returns the cookies for a page that asks the user to begin the login, or `None` if the login may begin at once. After an
/// end that lets only the user begin a login, the provider's own session would sign the user in again.
pub(crate) async fn cookies_if_click_needed(context: &RequestContext) -> Option<Vec<String>> {
    // Without a response of the coordinator, what this isolate knows counts.
    let _ = context.read_record().await;
    match context.current_session().await {
        Err(ref refusal @ Refusal::Ended(reason)) => match reason.is_final() {
            true => Some(context.ended_cookies(refusal).await),
            false => None,
        },
        Ok(None) => context.has_left().then(Vec::new),
        _ => None,
    }
}

/// Returns the address of the same login, begun by a click.
fn without_automatic(context: &RequestContext, is_own: bool) -> String {
    let mut query = Form::new();
    for (name, value) in form::parse(context.url.query()).unwrap_or_default() {
        if name != AUTOMATIC && name != OUTSIDE {
            query.push(&name, &value);
        }
    }
    login_url(context, query, is_own)
}

/// Builds a page that waits for the user's click on a link to a login.
pub(crate) fn sign_in_page(href: &str) -> OwnResponse {
    response::question_page("Sign in?", "You are signed out in this browser.", href)
}

/// Returns the address of a login for a link in a page of the handler.
pub(crate) fn address(context: &RequestContext, return_to: &str, is_own: bool) -> String {
    let mut query = Form::new();
    query.push("returnTo", return_to);
    login_url(context, query, is_own)
}

/// Returns the address of a login with this query, and with [`OUTSIDE`] unless a page of the app began the login.
fn login_url(context: &RequestContext, mut query: Form, is_own: bool) -> String {
    if !is_own {
        query.push(OUTSIDE, "");
    }
    [&context.login_path(), "?", &query.finish()].concat()
}

/// Begins a login: builds the redirect to the provider. `is_own` is true if a page of the app begins the login.
pub(crate) async fn begin(
    context: &RequestContext,
    mut params: Box<LoginParams>,
    is_own: bool,
) -> Result<OwnResponse> {
    let task = &context.task;
    let target = target(context, &params)?;
    // A page of the handler may forward the browser to the second login, which would then seem to come from the app.
    let is_second = !is_own && leads_below(context, &target, &context.login_path());
    if is_second {
        params.return_to = None;
    }
    // Another login would not have these options, or would not end in its popup. A repetition or a replacement takes place
    // once.
    params.is_final |= params.is_repetition
        || target.starts_with(&[&*task.config().base, "/popup"].concat())
        || params.prompt.is_some()
        || params.max_age.is_some()
        || params.acr_values.is_some();
    let metadata = documents::metadata(task).await?;
    // The user need not sign in at a provider whose UserInfo endpoint cannot be asked.
    profile::address(&task.config().flow, &metadata)?;
    let entropy = task.isolate().random();
    let flow = &task.config().flow;
    coordinator::find_time(task).await;
    let now = task.now().wall;
    let resource = flow.target.resource.as_deref();
    let mut begun = authorization_request::build(
        flow,
        &context.redirection(),
        resource.as_slice(),
        &params,
        &entropy,
        now,
    )?;
    let pair = dpop::generate_key_pair(task).await?;
    if let Some(pair) = &pair {
        begun = begun.with_dpop_key(pair.public.clone());
    }
    let url = if task.config().par || metadata.require_pushed_authorization_requests {
        push(context, &begun, &metadata).await?
    } else {
        begun.url(&metadata)
    };
    let jar = context.jar();
    let cookies = context.cookies();
    let key = cookie_key(&begun.key);
    let room = jar.room_for_login(&cookies, key);
    let sealed = loop {
        let text = to_text(&begun.pending, pair.as_ref(), is_own);
        let Some(sealed) = seal::seal(task, &purpose(key), text).await else {
            return Err(Error::new(
                Code::Unsupported,
                msg!("the host could not seal a cookie"),
            ));
        };
        // A browser would drop a cookie that is too long, and the callback would find no login. Servers would refuse a
        // header that is too long.
        let fits = fits(&jar.login(key), &sealed);
        let return_to = &mut begun.pending.return_to;
        let is_shortest = return_to.as_str() == "/";
        if fits && (sealed.len() <= room || is_shortest) {
            break sealed;
        }
        if is_shortest {
            return Err(Error::new(
                Code::LimitExceeded,
                msg!("the state of this login is too long for a cookie"),
            ));
        }
        *return_to = authorization_request::shortened(return_to).to_owned();
    };
    let mut response = response::redirect(url);
    response.cookies = jar.make_room(&cookies, (key, &sealed), MOST - 1);
    let cookie = jar.set_login(key, &sealed, authorization_request::LIFETIME);
    response.cookies.push(cookie);
    observe(task, None);
    if task.isolate().lost_logins.begin(&task.now()) {
        let message = msg!(
            "more than 20 logins have begun in ten minutes or longer, and none has come back from the provider: check the redirect URI that is registered there"
        );
        task.fault_of(Code::LoginFailed, &[message]);
    }
    Ok(response)
}

/// Emits an event for the observer about a login that was redirected to the provider, or failed before that.
pub(crate) fn observe(task: &Task, code: Option<Code>) {
    let duration = task.arrived().elapsed(&task.now());
    task.observe(Happened::Login { code, duration });
}

/// Returns true if a path of the app belongs to a route that windows may open.
pub(crate) fn is_of_route(context: &RequestContext, path: &str) -> bool {
    let url = Url::parse_within(path, &context.url);
    let config = context.task.config();
    url.is_some_and(|url| config.route(url.path()).is_some_and(|route| route.navigate))
}

/// Returns true if a server may read a path of the app as one of a route that windows may open.
pub(crate) fn leads_to_route(context: &RequestContext, path: &str) -> bool {
    let mut routes = context.task.config().routes.iter();
    routes.any(|route| route.navigate && leads_below(context, path, &route.prefix))
}

/// Returns true if a server may read a path of the app as one of an endpoint of the handler.
pub(crate) fn leads_to_endpoint(context: &RequestContext, target: &str) -> bool {
    leads_below(context, target, &context.task.config().base)
}

/// Returns true if a server may read a path of the app as `folder`, or as a path below it.
fn leads_below(context: &RequestContext, target: &str, folder: &str) -> bool {
    let url = Url::parse_within(target, &context.url);
    url.is_some_and(|url| spelling::may_be_below(url.path(), folder))
}

async fn push(
    context: &RequestContext,
    begun: &AuthorizationRequest,
    metadata: &rules::oauth::metadata::Metadata,
) -> Result<String> {
    let Some(endpoint) = &metadata.pushed_authorization_request_endpoint else {
        let why = if context.task.config().par {
            msg!("`par` is set, but the provider has no pushed_authorization_request_endpoint")
        } else {
            msg!(
                "the provider's metadata requires pushed authorization requests, but has no pushed_authorization_request_endpoint"
            )
        };
        return Err(Error::new(Code::MetadataInvalid, why));
    };
    let outcome = requests::send_as_client(
        &context.task,
        pushed_authorization::request(endpoint, begun),
        None,
    )
    .await;
    let secrets = [&*begun.state, requests::client_secret(&context.task)];
    let description = error_description::of_response(&outcome);
    if let Some(text) = description.and_then(|it| begun.pending.loggable(&it, &secrets)) {
        requests::log_provider_says(&context.task, &text);
    }
    let is_public = matches!(context.task.config().client.auth, ClientAuth::None);
    match pushed_authorization::read(&outcome, endpoint, is_public) {
        PushOutcome::Accepted(uri) => {
            let client_id = &context.task.config().client.id;
            Ok(pushed_authorization::authorization_url(
                &uri, metadata, client_id, begun,
            ))
        }
        PushOutcome::Unsupported(error)
        | PushOutcome::Unreadable(error)
        | PushOutcome::Failed(error) => {
            let error = pushed_authorization::with_redirect_uri(error, context.redirect_uri.href());
            Err(error)
        }
    }
}

/// Builds a page that explains why a login failed. The page's link to another attempt repeats `login`.
pub(crate) fn failed(
    context: &RequestContext,
    error: &Error,
    login: Option<&PendingLogin>,
) -> OwnResponse {
    if error.code() == Code::MessageInvalid {
        // The error may name what the client has sent, so only the page shows it.
        let message = msg!("a login has an option that is unknown or not valid");
        let error = Error::new(Code::MessageInvalid, message);
        context.task.error_seldom(Seldom::Login, &error);
    } else {
        context.task.error_seldom(Seldom::Login, error);
    }
    failed_page(context, error, login)
}

/// Builds the page of [`failed`] without a line in the log.
pub(crate) fn failed_page(
    context: &RequestContext,
    error: &Error,
    login: Option<&PendingLogin>,
) -> OwnResponse {
    let again = login.map_or_else(
        || context.login_path(),
        |login| address(context, &login.pending.return_to, login.is_own),
    );
    let body = [
        "<p>",
        &response::escaped(error.message()),
        " (<code>",
        error.code().as_str(),
        r#"</code>).</p><p><a href=""#,
        &response::escaped(&again),
        r#"">Try again</a> or <a href="/">go back to the app</a>.</p>"#,
    ]
    .concat();
    let status = match error.code() {
        Code::ProviderUnavailable | Code::CoordinatorUnavailable => 503,
        Code::LoginDenied => 403,
        // Another login would not fix these errors: the session is too long, or the host lacks a feature.
        Code::LimitExceeded | Code::Unsupported => 500,
        Code::ClientRejected
        | Code::SignInNotRepeated
        | Code::MetadataInvalid
        | Code::ProfileFailed
        | Code::ScopeExceeded
        | Code::TokenResponseInvalid => 502,
        _ => 400,
    };
    let mut page = response::page(status, "Signing in did not work", "", &body);
    if status == 503 {
        page.headers.push(response::retry_after(RETRY_AFTER));
    }
    page.code = Some(error.code());
    page
}

/// Returns the name and the value of the cookie of the login with this key.
pub(crate) fn cookie(context: &RequestContext, key: &str) -> (String, CookieValue) {
    let name = context.jar().login(cookie_key(key));
    let found = context.cookies().value(&name);
    (name, found)
}

/// A login that waits for its authorization response.
pub(crate) struct PendingLogin {
    pub(crate) pending: Box<Pending>,
    /// The private key for the login's tokens, if they are bound to a key.
    pub(crate) key: Option<Secret>,
    /// True if a page of the app began the login. Otherwise only the user's click may lead to a route afterwards.
    pub(crate) is_own: bool,
}

/// The version of a login's cookie.
const VERSION: &str = "1";

/// The line of a login that a page of the app began.
const OWN: &str = "own";

/// Builds the text to seal for a login: whether a page of the app began it, the private key to which the login's tokens will
/// be bound, and the login as JSON.
fn to_text(pending: &Pending, pair: Option<&KeyPair>, is_own: bool) -> Secret {
    let mut lines = LineWriter::new(VERSION);
    lines
        .text(if is_own { OWN } else { "" })
        .optional_secret(pair.map(|pair| &pair.private))
        .text(pending.to_json().expose());
    Secret::new(lines.finish())
}

/// Reads the output of `to_text`. Returns `None` for any other input.
pub(crate) fn from_text(text: &str) -> Option<PendingLogin> {
    let mut lines = LineReader::new(text, VERSION)?;
    let is_own = lines.text()? == OWN;
    let key = match lines.optional_secret()? {
        Some(key) => Some(KeyPair::from_jwk(key.expose())?.private),
        None => None,
    };
    let pending = Pending::from_json(lines.text()?)?;
    lines.finish(PendingLogin {
        pending,
        key,
        is_own,
    })
}

/// The options of a login, as its query has them.
struct Asked {
    params: Box<LoginParams>,
    /// True if the query has [`OUTSIDE`].
    is_outside: bool,
    /// True if the query has [`AUTOMATIC`].
    is_automatic: bool,
}

/// Reads the query of a login.
fn login_params(query: &str, flow: &Flow) -> Result<Asked> {
    let invalid = |why: &[&str]| Err(Error::of(Code::MessageInvalid, why));
    let Some(given) = form::parse(query) else {
        return invalid(&[msg!("the query is not UTF-8")]);
    };
    let mut params = Box::new(LoginParams::default());
    let (mut is_outside, mut is_automatic) = (false, false);
    let mut more: Vec<(String, String)> = Vec::new();
    for (name, value) in given {
        let known = match name.as_str() {
            "returnTo" => &mut params.return_to,
            "prompt" => &mut params.prompt,
            "login_hint" => &mut params.login_hint,
            "ui_locales" => &mut params.ui_locales,
            "acr_values" => &mut params.acr_values,
            "max_age" => {
                let Some(seconds) = json::parse_u64(&value).filter(|_| params.max_age.is_none())
                else {
                    return invalid(&[msg!("login option max_age must be a number of seconds")]);
                };
                params.max_age = Some(seconds);
                continue;
            }
            OUTSIDE => {
                is_outside = true;
                continue;
            }
            AUTOMATIC => {
                is_automatic = true;
                continue;
            }
            _ if flow.may_add(&name) && more.iter().all(|(known, _)| *known != name) => {
                more.push((name, value));
                continue;
            }
            _ => {
                let name = rules::base::error::quote(&name);
                return invalid(&[
                    msg!("login option "),
                    &name,
                    msg!(" is unknown, given twice, or not in loginParams"),
                ]);
            }
        };
        if known.replace(value).is_some() {
            let name = rules::base::error::quote(&name);
            return invalid(&[msg!("login option "), &name, msg!(" is given twice")]);
        }
    }
    params.more = more;
    Ok(Asked {
        params,
        is_outside,
        is_automatic,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn login_is_read_as_it_was_written() {
        let json = r#"{"version":1,"issuer":"i","nonce":"n","code_verifier":"v","return_to":"/","popup":false,"silent":false,"max_age":null,"created_at":1}"#;
        let pending = Pending::from_json(json).unwrap();
        for is_own in [true, false] {
            let text = to_text(&pending, None, is_own);
            let read = from_text(text.expose()).unwrap();
            assert_eq!(read.is_own, is_own);
            assert_eq!(read.pending.to_json().expose(), pending.to_json().expose());
            assert!(from_text(&text.expose().replacen('1', "2", 1)).is_none());
        }
    }
}
