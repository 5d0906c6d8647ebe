//! The router: finds the endpoint or upstream for a request.

use rules::prelude::*;

use crate::check;
use crate::config::Bind;
use crate::csrf;
use crate::endpoints::back_channel_logout;
use crate::endpoints::bind;
use crate::endpoints::callback;
use crate::endpoints::client_config;
use crate::endpoints::login;
use crate::endpoints::login_elsewhere;
use crate::endpoints::logout;
use crate::endpoints::session_view;
use crate::endpoints::sessions;
use crate::io::{OwnResponse, Request, Response};
use crate::isolate::Seldom;
use crate::marker;
use crate::navigation;
use crate::proxy;
use crate::refresh::end;
use crate::request::RequestContext;
use crate::request_id;
use crate::response;
use crate::store::coordinator;
use crate::task::{Task, boxed};
use rules::base::error::Code;
use rules::base::strings;

/// Endpoints for top-level navigations only.
const FOR_WINDOWS: &str = "login callback logout/provider popup";

/// Endpoints that scripts read.
const FOR_SCRIPTS: &str = "config session";

/// Handles a request.
pub(super) async fn handle(task: Task, mut request: Box<Request>) -> Response {
    let id = request_id::given(
        request.request_id.as_deref(),
        request.traceparent.as_deref(),
    );
    if let Some(id) = id {
        task.set_request_id(id.into());
    }
    let mut response = if let Some(check) = request.check.take() {
        let decided = boxed(check::handle(&task, request, &check)).await;
        decided.map_or_else(Response::Own, Response::Allowed)
    } else {
        match RequestContext::new(task.clone(), request) {
            Ok(context) => {
                warn_of_test_key(&context);
                let response = route(&context).await;
                observe_login(&context, &response);
                response
            }
            Err(response) => response,
        }
    };
    boxed(end::write_found_ends(&task)).await;
    if let Response::Own(own) = &mut response {
        task.note_refusal(own);
        response::add_request_id(own, &task.request_id());
    }
    response
}

/// Warns once if a key for tests could open the sessions of real users. The handler goes on, because end-to-end tests may
/// use https, too. Plain http is for loopback only.
fn warn_of_test_key(context: &RequestContext) {
    let task = &context.task;
    if context.url.scheme() == "https"
        && task.config().keys.has_test_key()
        && !task.isolate().has_warned_of_test_key.replace(true)
    {
        let message = msg!(
            "`cookie.keys` has a key of testKeys(), and the app is served over https: in production, everybody who runs the tests could sign in as any user, so use other keys (openssl rand -base64 32)"
        );
        task.warn(Code::ConfigInvalid, message);
    }
}

/// Emits an event for the observer about a login that failed before it was redirected to the provider.
fn observe_login(context: &RequestContext, response: &Response) {
    let task = &context.task;
    let endpoint = context.url.path().strip_prefix(task.config().base.as_str());
    if let (Some("/login"), Response::Own(OwnResponse { code, .. })) = (endpoint, response)
        && code.is_some()
        // These requests begin no login.
        && !matches!(code, Some(Code::CrossSiteRequest | Code::MethodNotAllowed))
    {
        login::observe(task, *code);
    }
}

async fn route(context: &RequestContext) -> Response {
    // The age of bound cookies decides about requests of sessions, also where no record is read.
    let is_bound = context.task.bound_cookie().mode != Bind::Off;
    if is_bound && context.request.cookie.is_some() {
        coordinator::find_time(&context.task).await;
    }
    let path = context.url.path();
    let config = context.task.config();
    let own = path.strip_prefix(config.base.as_str());
    let Some(endpoint) = own.and_then(|rest| rest.strip_prefix('/')) else {
        return proxy::handle(context).await;
    };
    if endpoint == "callback" {
        context.task.isolate().lost_logins.note_return();
    }
    let method = context.request.method.as_str();
    let is_navigation = csrf::is_navigation(&context.request);
    let is_for_windows = strings::contains_word(FOR_WINDOWS, endpoint);
    let response = match (endpoint, method) {
        (_, "GET") if csrf::is_prefetch(&context.request) => response::not_prefetched(),
        ("login", "GET") if is_navigation => boxed(login_elsewhere::handle(context)).await,
        ("login", "POST") if csrf::is_posted_form(&context.request) => {
            boxed(login_elsewhere::handle_form(context)).await
        }
        ("callback", "GET") if is_navigation => {
            return Response::Own(boxed(callback::handle(context)).await);
        }
        ("logout/provider", "GET") if is_navigation => {
            boxed(logout::redirect_to_provider(context)).await
        }
        ("popup", "GET") if is_navigation => client_config::popup(),
        (_, "GET") if is_for_windows && csrf::is_replaced(&context.request) => {
            navigation::worker_page(context, &[config.base.as_str(), "/"].concat())
        }
        (_, "GET") if is_for_windows => response::refuse(
            403,
            Code::CrossSiteRequest,
            msg!("this address is for top-level navigations, not for scripts or frames"),
        ),
        ("session", "GET") => boxed(session_view::handle(context)).await,
        ("sessions", "GET" | "DELETE") if config.admin => boxed(sessions::handle(context)).await,
        ("sessions", _) if config.admin => method_not_allowed("GET, DELETE"),
        ("config", "GET") => client_config::handle(context),
        ("logout", "POST") => boxed(logout::handle(context)).await,
        ("backchannel-logout", "POST") if config.back_channel_logout => {
            boxed(back_channel_logout::handle(context)).await
        }
        ("bind", "POST") => boxed(bind::registration::handle(context)).await,
        ("bind/refresh", "POST") => boxed(bind::renewal::handle(context)).await,
        ("callback", "POST") if csrf::is_posted_form(&context.request) => form_post_page(context),
        ("logout", "GET") if is_navigation => logout_link_page(context),
        ("logout" | "backchannel-logout" | "bind" | "bind/refresh", _) => {
            method_not_allowed("POST")
        }
        _ if is_for_windows || strings::contains_word(FOR_SCRIPTS, endpoint) => {
            method_not_allowed("GET")
        }
        _ => response::empty(404),
    };
    // A refusal at this address, too, may be the document of a window, whose opener must not read a code in the address.
    Response::Own(if endpoint == "callback" {
        response::sever(response)
    } else {
        response
    })
}

fn method_not_allowed(allowed: &str) -> OwnResponse {
    response::method_not_allowed(&[msg!("this address allows only ")], allowed)
}

/// Builds the page for a provider that sends the authorization response as a form.
fn form_post_page(context: &RequestContext) -> OwnResponse {
    let message = msg!(
        "the authorization response was sent as a form (response_mode form_post), which the handler does not read: configure the client at the provider to use response_mode query"
    );
    context.task.fault_seldom(Seldom::FormPost, message);
    method_page(
        "GET",
        "Signing in did not work",
        r#"<p>The sign-in service sent its response in a form that this app does not accept.</p><p><a href="/">Go back to the app</a>.</p>"#,
    )
}

/// Builds the page for a link to the logout. A link must not end the session, because any site can open it.
fn logout_link_page(context: &RequestContext) -> OwnResponse {
    let message = msg!(
        "a window opened the address of the logout, which a link cannot use: call auth.logout(), or use a form with method=post"
    );
    context.task.fault_seldom(Seldom::LogoutLink, message);
    method_page(
        "POST",
        "You are not signed out",
        r#"<p>A link cannot sign you out. <a href="/">Go back to the app</a>, and sign out there.</p>"#,
    )
}

/// Builds a page for a method that is not allowed.
fn method_page(allowed: &str, title: &str, body: &str) -> OwnResponse {
    let mut page = response::page(405, title, "", body);
    page.headers.push(("allow", allowed.to_owned()));
    let code = Code::MethodNotAllowed.as_str().to_owned();
    page.headers.push((marker::HANDLER_HEADER, code));
    page.code = Some(Code::MethodNotAllowed);
    page
}
