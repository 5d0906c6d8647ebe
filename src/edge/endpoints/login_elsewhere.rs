//! A login that another site begins, such as the portal of a provider: `<base>/login` with `iss`, as a link or as a form
//! (OpenID Connect Core 1.0 4).
//!
//! A request from another site may lack the session's cookie, so the handler decides nothing by it. A page of the handler
//! repeats the request from the app's own origin, and only the repeated request is compared with the session. A valid
//! session is kept, so that no other site can switch the user. After a logout in this browser, or after an end that
//! protects the user, that page waits for a click.

use rules::prelude::*;

use crate::config::SameSite;
use crate::csrf;
use crate::endpoints::login;
use crate::io::{Effect, OwnResponse, Reply};
use crate::isolate::Seldom;
use crate::navigation;
use crate::refusal::Refusal;
use crate::request::RequestContext;
use crate::response;
use crate::task::boxed;
use rules::Secret;
use rules::base::error::{Code, Error, Result};
use rules::codec::form::{self, Form};
use rules::login::authorization_request::{self, LoginParams};
use rules::login::initiation::Initiation;

/// Largest form, in bytes.
const MAX_FORM: usize = 4 * 1024;

/// The parameter of a repeated request, for browsers without Fetch Metadata, and for navigations that a service worker
/// passes on.
const REPEATED: &str = "repeated";

/// The request, and true if it is the repeated one.
struct Elsewhere {
    initiation: Box<Initiation>,
    is_repeated: bool,
}

impl Elsewhere {
    /// Reads the parameters. Returns `None` if there is no `iss`, so that this is a login of the app.
    fn read(form: &str) -> Option<Result<Self>> {
        let given = form::parse(form)?;
        let is_repeated = given.iter().any(|(name, _)| name == REPEATED);
        let read = Initiation::read(given)?;
        Some(read.map(|initiation| Self {
            initiation,
            is_repeated,
        }))
    }

    /// Returns the address at which the app's own origin repeats this request.
    fn repeated(&self, context: &RequestContext) -> String {
        let mut query = Form::new();
        query.push("iss", &self.initiation.issuer);
        if let Some(hint) = &self.initiation.login_hint {
            query.push("login_hint", hint);
        }
        if let Some(target) = &self.initiation.target {
            query.push("target_link_uri", target);
        }
        query.push(REPEATED, "");
        [&context.login_path(), "?", &query.finish()].concat()
    }
}

/// Handles a form of another site, a top-level navigation with POST.
pub(crate) async fn handle_form(context: &RequestContext) -> OwnResponse {
    let body = match context.task.perform(Effect::Body(MAX_FORM)).await {
        Reply::Body(Some(body)) => body,
        _ => Secret::default(),
    };
    match Elsewhere::read(body.expose()) {
        Some(Ok(elsewhere)) => forward(context, &elsewhere),
        Some(Err(error)) => refused(context, Seldom::Elsewhere, &error),
        None => {
            let message = msg!("a form that begins a login must have iss, and 4 KB at most");
            refused(
                context,
                Seldom::Elsewhere,
                &Error::new(Code::MessageInvalid, message),
            )
        }
    }
}

/// Handles a link of another site, the repeated request, or a login of the app.
pub(crate) async fn handle(context: &RequestContext) -> OwnResponse {
    let elsewhere = match Elsewhere::read(context.url.query()) {
        Some(Ok(elsewhere)) => elsewhere,
        Some(Err(error)) => return refused(context, Seldom::Elsewhere, &error),
        None => return boxed(login::handle(context)).await,
    };
    let request = &context.request;
    let is_again = if request.site.is_none() || csrf::is_passed_on(request) {
        elsewhere.is_repeated
    } else {
        csrf::is_from_app(request)
    };
    if !is_again {
        return forward(context, &elsewhere);
    }
    let initiation = elsewhere.initiation;
    if let Err(error) = initiation.check_issuer(&context.task.config().flow.issuer) {
        return refused(context, Seldom::OtherIssuer, &error);
    }
    let result = boxed(compare_with_session(context, initiation)).await;
    let mut response = result.unwrap_or_else(|error| login::failed(context, &error, None));
    // The first request has set the mark, unless the other site's link had the parameter of a repeated request.
    navigation::set_mark(context, &mut response);
    response
}

/// Repeats the request from the app's own origin, so that the browser sends the session's cookie. The mark keeps what
/// follows from counting as a navigation of the app, also if the target redirects the browser.
fn forward(context: &RequestContext, elsewhere: &Elsewhere) -> OwnResponse {
    let again = elsewhere.repeated(context);
    let page = response::link_page(200, "Signing you in", &again, None);
    let mut response = response::sever(page);
    navigation::set_mark(context, &mut response);
    response
}

/// Builds the page for a request that cannot be used. Any site can cause such requests, so the log has few of them.
fn refused(context: &RequestContext, fault: Seldom, error: &Error) -> OwnResponse {
    context.task.fault_seldom(fault, error.message());
    login::failed_page(context, error, None)
}

/// Continues with the session of this browser, asks the user, or begins a login.
async fn compare_with_session(
    context: &RequestContext,
    initiation: Box<Initiation>,
) -> Result<OwnResponse> {
    let target = target(context, initiation.target.as_deref());
    let to_target = || navigation::to_app(context, "You are signed in", &target);
    match boxed(context.current_session()).await {
        Ok(Some((session, is_new))) => {
            let cookies = boxed(context.updated_cookies(session, is_new)).await;
            return Ok(OwnResponse {
                cookies,
                ..to_target()
            });
        }
        // The browser renews no bound cookie for this address. It does for the app's page.
        Err(Refusal::Interaction | Refusal::BoundCookieMissing { .. }) => return Ok(to_target()),
        Err(Refusal::Later(error, _)) => return Err(error),
        Err(Refusal::Ended(reason)) if reason.is_final() => {
            return Ok(ask(context, &target));
        }
        Ok(None) if context.has_left() || may_lack_cookie(context) => {
            return Ok(ask(context, &target));
        }
        Ok(None) | Err(Refusal::Ended(_)) => {}
    }
    let mut params = Box::new(LoginParams::default());
    params.return_to = Some(target);
    params.login_hint = initiation.login_hint;
    boxed(login::begin(context, params, false)).await
}

/// Returns true if the browser may have withheld a `Strict` cookie: without Fetch Metadata, nothing shows who repeated
/// the request.
fn may_lack_cookie(context: &RequestContext) -> bool {
    context.request.site.is_none() && context.task.config().cookie.same_site == SameSite::Strict
}

/// Builds a page that waits for the user's click, which begins a login. The user would not see whose account the other site
/// proposes, so the page does not keep `login_hint`.
fn ask(context: &RequestContext, target: &str) -> OwnResponse {
    let href = login::address(context, target, false);
    login::sign_in_page(&href)
}

/// Returns the path of the app to which the login leads: `target_link_uri`, unless that is on another origin, or a server
/// may read it as a route or as an endpoint of the handler.
fn target(context: &RequestContext, chosen: Option<&str>) -> String {
    let path = authorization_request::return_to(&context.redirect_uri, chosen);
    let is_page = |path: &String| {
        !login::leads_to_route(context, path) && !login::leads_to_endpoint(context, path)
    };
    path.ok().filter(is_page).unwrap_or_else(|| {
        let message = msg!(
            "a login that another site began names a target_link_uri that is not a page of the app; it was ignored"
        );
        context.task.fault_seldom(Seldom::Target, message);
        "/".to_owned()
    })
}
