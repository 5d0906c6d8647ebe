//! Logout by the user (`POST <base>/logout`), and the redirect to the provider's logout (`GET <base>/logout/provider`).

use alloc::rc::Rc;
use rules::prelude::*;

use crate::csrf;
use crate::io::OwnResponse;
use crate::isolate::Seldom;
use crate::lines::{LineReader, LineWriter, Unreadable};
use crate::marker;
use crate::navigation;
use crate::provider::documents;
use crate::refresh::{bound, end};
use crate::refusal::Refusal;
use crate::request::RequestContext;
use crate::response;
use crate::session::cookies::{CookieValue, fits};
use crate::session::{KEPT, Session};
use crate::store::seal;
use rules::Secret;
use rules::base::clock::Millis;
use rules::base::error::Result;
use rules::codec::form::{Form, with_query};
use rules::codec::json::{Writer, digits};
use rules::session::EndReason;

/// The lifetime of the cookie for the redirect to the provider's logout.
const LOGOUT_COOKIE_AGE: Millis = Millis::from_secs(120);

/// The key in the name of the logout cookie, and the purpose to which its value is bound.
const LOGOUT_COOKIE: &str = "logout";

/// The query with which a script asks for a logout before it leaves for the provider's logout.
const AT_PROVIDER: &str = "provider";

/// The version of the logout cookie.
const VERSION: &str = "1";

/// The result of the search for the session that a logout is to end.
enum Leaving {
    /// The request has no session, or its cookie cannot be opened.
    Unknown,
    /// The session is bound, and its cookie may be a copy. The session is not ended.
    Copy,
    /// The session has already ended.
    Ended,
    /// The request names another session. By now, another user may have signed in, so nothing changes.
    Other,
    /// The logout may end this session.
    Live(Rc<Session>),
}

impl Leaving {
    /// Returns true if the session is over after the logout.
    const fn has_ended(&self) -> bool {
        matches!(self, Self::Ended | Self::Live(_))
    }

    /// Returns the ID token for the logout at the provider, if the browser may have it.
    fn id_token_hint(&self, context: &RequestContext) -> Option<Secret> {
        match self {
            Self::Live(session) if may_name_user(context, session) => session.id_token_hint(),
            _ => None,
        }
    }
}

/// Ends the session everywhere. A script gets the URL at which the user is also signed out at the provider. A form is
/// redirected to this URL.
///
/// The provider's own URL contains the ID token, so this URL is a URL of the handler that redirects to the provider's
/// URL.
pub(crate) async fn handle(context: &RequestContext) -> OwnResponse {
    let is_script = context.request.marker.is_some();
    // A form of any site looks like one of the app if a service worker of the app passes it on.
    if csrf::is_form_of_worker(&context.request) {
        let base = context.task.config().base.as_str();
        return navigation::worker_page(context, &[base, "/"].concat());
    }
    if let Err(error) = check_sender(context, is_script) {
        return response::error(403, &error);
    }
    // Finish the logout even if the client disconnects.
    let _guard = context.task.keep_alive();
    let mut leaving = match leaving(context).await {
        Ok(leaving) => leaving,
        // The session cannot be read now, so the handler must not claim that the session has ended.
        Err(refusal) => return context.refusal_response(&refusal).await,
    };
    let leave = [context.task.config().base.as_str(), "/logout/provider"].concat();
    if matches!(leaving, Leaving::Other) {
        return response::json(200, outcome(&leave, &leaving, false));
    }
    let is_revoked = match &leaving {
        Leaving::Live(session) => {
            // The user is signed out at the provider, too, so the grant must end.
            let is_at_provider = !is_script || context.url.query() == AT_PROVIDER;
            let reason = match is_at_provider {
                true => EndReason::LoggedOut,
                false => EndReason::of_logout(&context.task.config().flow),
            };
            end::end_by_logout(&context.task, session, reason).await
        }
        _ => false,
    };
    // A read that failed before has succeeded meanwhile.
    if let Leaving::Live(session) = &leaving
        && bound::is_copy(&context.task, session)
    {
        leaving = Leaving::Copy;
    }
    let mut cookies = context.jar().clear_session(&context.cookies());
    if matches!(leaving, Leaving::Unknown) && !cookies.is_empty() {
        let message = msg!("a logout had a cookie that could not be opened");
        context.task.fault_seldom(Seldom::Logout, message);
    }
    // The session may have ended before, but the user is signed out by choice from now on.
    let jar = context.jar();
    cookies.push(jar.mark(&jar.left(), KEPT));
    let sealed = logout_hint(context, leaving.id_token_hint(context)).await;
    cookies.extend(jar.make_room_after_session(&context.cookies(), (LOGOUT_COOKIE, &sealed)));
    cookies.push(jar.set_login(LOGOUT_COOKIE, &sealed, LOGOUT_COOKIE_AGE));
    let response = match is_script {
        true => response::json(200, outcome(&leave, &leaving, is_revoked)),
        false => response::redirect(leave),
    };
    OwnResponse {
        cookies,
        ..response
    }
}

/// Finds the session that a logout is to end.
///
/// # Errors
/// [`Refusal::Later`] if the session or its record cannot be read now.
async fn leaving(context: &RequestContext) -> core::result::Result<Leaving, Refusal> {
    let session = match context.presented().await {
        Ok(Some(session)) => session,
        Ok(None) => return Ok(Leaving::Unknown),
        Err(refusal @ Refusal::Later(..)) => return Err(refusal),
        Err(_) => return Ok(Leaving::Ended),
    };
    // The times are compared as text, because only the handler's own clock counts.
    // control: logout_ends_the_session_that_it_names
    if marker::named_session(&context.request).is_some_and(|began| began != digits(session.began)) {
        return Ok(Leaving::Other);
    }
    match refusal_of_copy(context, &session).await {
        None => Ok(Leaving::Live(session)),
        Some(refusal @ Refusal::Later(..)) => Err(refusal),
        Some(Refusal::BoundCookieMissing { .. }) => Ok(Leaving::Copy),
        Some(_) => Ok(Leaving::Ended),
    }
}

/// Returns the reason to refuse the logout of a session whose cookie may be a copy. A copy of a bound session's cookie
/// must neither end the session, nor get its ID token after its end.
async fn refusal_of_copy(context: &RequestContext, session: &Rc<Session>) -> Option<Refusal> {
    // control: logout_needs_the_bound_cookie
    let refused = bound::check_with_record(&context.task, session).await.err();
    if let Some(Refusal::BoundCookieMissing { .. }) = &refused {
        let message = msg!(
            "a logout of a bound session had no valid bound cookie: its cookies were cleared, and the session was not ended"
        );
        context
            .task
            .fault_seldom(Seldom::BoundCookieMissing, message);
    }
    refused
}

/// Returns what a script learns about its logout.
fn outcome(leave: &str, leaving: &Leaving, is_revoked: bool) -> String {
    let mut outcome = Writer::object();
    outcome
        .text("url", leave)
        .flag("ended", leaving.has_ended())
        .flag("revoked", is_revoked);
    if matches!(leaving, Leaving::Other) {
        outcome.flag("other", true);
    }
    outcome.finish()
}

/// Returns true unless the session's cookie may be a copy from before the binding of the session, according to its age: the
/// session must be bound by now, or its browser has deleted the cookie, and its record has expired. The same is true during
/// an outage of the coordinator, as soon as no call accepts the copy. Such a copy may end the session, as by a login, but
/// gets no ID token.
fn may_name_user(context: &RequestContext, session: &Session) -> bool {
    let task = &context.task;
    let age = Millis(task.now().wall.saturating_sub(session.began));
    let is_kept = age < task.config().flow.limits.absolute + KEPT;
    is_kept && !bound::is_refused_as_unbound(task, session) && !bound::is_doubtful(task, session)
}

/// Checks that a script or a form of the app sent the request.
fn check_sender(context: &RequestContext, is_script: bool) -> Result<()> {
    let request = &context.request;
    if is_script {
        return csrf::check_script(request, &context.origin);
    }
    csrf::check_form(request, &context.origin)?;
    // A request without the header `X-Strongroom` must be a navigation by a form. A request by a script must have the
    // header.
    let mode = request.mode.as_deref();
    if mode.is_none_or(|mode| mode == "navigate") {
        Ok(())
    } else {
        csrf::check_script(request, &context.origin)
    }
}

/// Returns the value of the cookie that keeps the ID token in the browser until [`redirect_to_provider`] uses it.
async fn logout_hint(context: &RequestContext, hint: Option<Secret>) -> String {
    let jar = context.jar();
    let mut sealed = seal_hint(context, hint.as_ref()).await;
    if !fits(&jar.login(LOGOUT_COOKIE), &sealed) {
        // The ID token is too long for a cookie. Without the ID token as a hint, the provider asks the user to confirm
        // the logout (OpenID Connect RP-Initiated Logout 1.0 2).
        sealed = seal_hint(context, None).await;
    }
    sealed
}

async fn seal_hint(context: &RequestContext, hint: Option<&Secret>) -> String {
    let text = LineWriter::new(VERSION).optional_secret(hint).finish();
    let sealed = seal::seal(&context.task, LOGOUT_COOKIE, Secret::new(text)).await;
    sealed.unwrap_or_default()
}

/// Returns the ID token in the logout cookie. A cookie of another version counts as one without an ID token.
async fn open_hint(
    context: &RequestContext,
    sealed: &str,
) -> core::result::Result<Option<Secret>, Unreadable> {
    match seal::open(&context.task, LOGOUT_COOKIE, sealed).await {
        Ok(text) => {
            let lines = LineReader::new(text.expose(), VERSION);
            Ok(lines.and_then(|mut lines| lines.optional_secret()?))
        }
        Err(Unreadable::OtherVersion) => Ok(None),
        Err(unreadable) => Err(unreadable),
    }
}

/// Called after [`handle`]: redirects the browser to the provider's logout (OpenID Connect RP-Initiated Logout 1.0).
pub(crate) async fn redirect_to_provider(context: &RequestContext) -> OwnResponse {
    let name = context.jar().login(LOGOUT_COOKIE);
    let home = context.task.config().post_logout.as_deref().unwrap_or("/");
    let CookieValue::Value(sealed) = context.cookies().value(&name) else {
        return response::redirect(home.to_owned());
    };
    let hint = open_hint(context, &sealed).await;
    let endpoint = match documents::metadata(&context.task).await {
        Ok(metadata) => metadata.end_session_endpoint.clone(),
        Err(_) => None,
    };
    let mut response = match (endpoint, hint) {
        (Some(endpoint), Ok(hint)) => {
            let mut form = Form::new();
            if let Some(hint) = &hint {
                form.push("id_token_hint", hint.expose());
            }
            form.push("client_id", &context.task.config().client.id);
            if let Some(path) = &context.task.config().post_logout {
                form.push(
                    "post_logout_redirect_uri",
                    &[&context.origin, path.as_str()].concat(),
                );
            }
            response::redirect(with_query(&endpoint, &form.finish()))
        }
        _ => response::redirect(home.to_owned()),
    };
    response
        .headers
        .push(("referrer-policy", "no-referrer".to_owned()));
    response.cookies.push(context.jar().clear(&name));
    response
}
