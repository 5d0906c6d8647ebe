//! Checks: a reverse proxy carries the traffic of a site itself, and asks here for each request if it may pass (nginx's
//! `auth_request`, Caddy's `forward_auth`).
//!
//! The site is not a route: the proxy sends its own request with the token, and nothing of the site's response is searched.
//! The script of the site runs on the app's origin, so the site must be as trusted as the app.
//!
//! The path of a check names the guard. The path of the user's request only decides where a login returns to, because proxies
//! and servers read paths in different ways.
//!
//! The response to a check sets no cookie: nginx would pass on only the first one, and none with most responses. So sessions
//! are in the store.

use rules::prelude::*;

use crate::config::Storage;
use crate::config::guards;
use crate::config::origins;
use crate::csrf;
use crate::io::{Allowed, Check, Outer, OwnResponse, Request};
use crate::isolate::Seldom;
use crate::marker;
use crate::proxy;
use crate::refusal::Refusal;
use crate::request::RequestContext;
use crate::response;
use crate::task::{Task, boxed};
use rules::Secret;
use rules::base::error::{Code, Error, Result};
use rules::base::strings;
use rules::codec::form::{self, Form};
use rules::codec::json::Value;
use rules::codec::url::Url;
use rules::egress::policy::spelling;

/// The end of the path of checks by nginx, which understands only 2xx, 401 and 403.
const FOR_NGINX: &str = "/nginx";

/// Longest value of a header about the user, in bytes.
const LONGEST_VALUE: usize = 1024;

/// Decides if the request of a site's user may pass. The error is the response that refuses it.
pub(super) async fn handle(
    task: &Task,
    mut request: Box<Request>,
    check: &Check,
) -> core::result::Result<Allowed, OwnResponse> {
    let (number, is_for_nginx) = find_guard(task, check)?;
    let Some(guard) = task.config().guards.get(number) else {
        return Err(response::failure());
    };
    check_address(task, &request)?;
    // Proxies send a check without `Upgrade`.
    request.upgrade = check
        .socket_version
        .as_ref()
        .map(|_| "websocket".to_owned());
    let context = RequestContext::new(task.clone(), request).map_err(|_| response::failure())?;
    if let Err(error) = check_sender(&context) {
        return Err(response::error(403, &error));
    }
    let refused = match context.current_session().await {
        // A sealed cookie, from a time before `storage: 'in-store'`, cannot be renewed here. The login clears it.
        Ok(Some((session, _))) if context.found_in() == Storage::InStore => {
            let user = session.user();
            let user = user.map(|user| user.visible(task.config().flow.asks_user_info));
            let Some(user) = user else {
                return Err(no_access(&context));
            };
            if let Some((claim, why)) = guard.refusal(user.claims()) {
                let said = [
                    msg!("the guard `"),
                    &guard.name,
                    msg!("` refuses a user: "),
                    &why,
                ];
                task.fault_seldom(Seldom::Guard(number, claim), &said.concat());
                return Err(no_access(&context));
            }
            let mut identity = Vec::new();
            for (header, claim) in &guard.identity {
                let value = header_value(guards::claim(user.claims(), claim));
                if value.len() > LONGEST_VALUE {
                    return Err(too_long(task, header));
                }
                identity.push((header.clone(), value));
            }
            if is_activity(&context.request) {
                // The session is in the store, so this sets no cookie.
                let _ = boxed(context.updated_cookies(session.clone(), false)).await;
            }
            let token = session.access_token.expose();
            return Ok(Allowed {
                authorization: Secret::new(["Bearer ", token].concat()),
                cookie: context.jar().without_own(&context.cookies()),
                identity,
            });
        }
        Ok(_) => response::login_required(),
        Err(refusal @ Refusal::Later(..)) => return Err(response::refusal(&refusal)),
        Err(refusal @ Refusal::BoundCookieMissing { was_skipped: true }) => {
            return Err(response::refusal(&refusal));
        }
        Err(refusal) => response::refusal(&refusal),
    };
    Err(to_login(&context, refused, is_for_nginx))
}

/// Finds the number of the guard that the path of the check names, and compares its secret. The second value is true if the
/// response is for nginx.
fn find_guard(task: &Task, check: &Check) -> core::result::Result<(usize, bool), OwnResponse> {
    let name = check.path.strip_suffix(FOR_NGINX);
    let named = name.unwrap_or(&check.path);
    let mut guards = task.config().guards.iter().enumerate();
    let guard = guards.find(|(_, guard)| guard.name == named);
    let given = check.secret.as_deref().unwrap_or_default();
    let why = match guard {
        Some((number, guard)) if guard.secret.matches(given) => {
            return Ok((number, name.is_some()));
        }
        Some(_) => {
            msg!("a check was refused: its X-Strongroom-Check is not the secret of the guard")
        }
        None => msg!("a check was refused: its path names no entry of `guards`"),
    };
    task.fault_seldom(Seldom::Check, why);
    Err(response::empty(403))
}

/// Checks that the proxy asks about an address of the app, which a server cannot read as another one, and not about the
/// handler's own addresses: a login that needs a login would never begin.
fn check_address(task: &Task, request: &Request) -> core::result::Result<(), OwnResponse> {
    let url = Url::parse(&request.url);
    let known = url.and_then(|url| task.config().origins.of(&url));
    let named = origins::split(&request.url);
    let named = named.filter(|(origin, _)| known.as_ref() == Some(origin));
    let path = named.map(|(_, path)| path);
    let below = path.and_then(|path| path.strip_prefix(&*task.config().base));
    let why = match path {
        Some(path) if !below.is_some_and(|rest| rest.starts_with('/')) => {
            let (path, _) = strings::split_once(path, b'?');
            return spelling::fault(path).map_or(Ok(()), |why| {
                Err(response::refuse(403, Code::UrlNotAllowed, why))
            });
        }
        Some(_) => {
            msg!("a check was refused: the proxy must not ask about the handler's own addresses")
        }
        None => msg!(
            "a check was refused: X-Forwarded-Proto, X-Forwarded-Host and X-Forwarded-Uri are not an address of an entry of `origin`"
        ),
    };
    // The client may have chosen the address, and must not be able to hide the lines about a wrong secret.
    task.fault_seldom(Seldom::CheckedAddress, why);
    Err(response::empty(403))
}

/// Checks who sent the request. Any other site may open a page of the guarded site in a window, so the guarded site must
/// change nothing on GET.
fn check_sender(context: &RequestContext) -> Result<()> {
    let (request, origin) = (&context.request, &context.origin);
    // Some proxies send the bytes behind CONNECT to the site, which may take them for requests that passed a check.
    if ["CONNECT", "TRACE"].contains(&request.method.to_ascii_uppercase().as_str()) {
        let message = msg!("a guarded site gets no request with the method CONNECT or TRACE");
        return Err(Error::new(Code::MethodNotAllowed, message));
    }
    if csrf::is_socket(request) {
        return csrf::require_origin(request, origin);
    }
    if !csrf::is_safe(&request.method) {
        // The site's own server decides by these headers, too, but a service worker hides who sent a form. A form cannot send
        // X-Strongroom.
        let accept = request.accept.clone();
        let own = Outer {
            method: request.method.clone(),
            mode: request.mode.clone(),
            dest: request.dest.clone(),
            accept: accept.filter(|_| !marker::is_script(request)),
            ..Outer::default()
        };
        return csrf::check_outer(request, &own, origin);
    }
    if is_opened(request) {
        return Ok(());
    }
    csrf::check_resource(request, origin)
}

/// Returns true if the user opens a page in a window. Browsers send no `Origin` then.
fn is_opened(request: &Request) -> bool {
    csrf::is_safe(&request.method)
        && request.origin.is_none()
        && csrf::opens_page(request)
        && !csrf::is_prefetch(request)
}

/// Returns true if the request shows that the user is there. Background requests never count: see
/// [`RequestContext::updated_cookies`].
fn is_activity(request: &Request) -> bool {
    marker::is_script(request) || is_opened(request) || !csrf::is_safe(&request.method)
}

/// Builds the page for a user whom the guard does not let in. Another account may be let in.
fn no_access(context: &RequestContext) -> OwnResponse {
    let body = [
        "<p>You are signed in, but this account may not enter here (<code>",
        Code::ClaimMissing.as_str(),
        r#"</code>).</p><p><a href=""#,
        &response::escaped(&context.login_path()),
        r#"?prompt=login">Use another account</a></p>"#,
    ];
    let mut page = response::page(403, "No access", "", &body.concat());
    page.code = Some(Code::ClaimMissing);
    page
}

/// Adds the address of a login to the response, if the user opens a page. The login returns to that page.
fn to_login(context: &RequestContext, refused: OwnResponse, is_for_nginx: bool) -> OwnResponse {
    if !is_opened(&context.request) {
        return refused;
    }
    let mut form = Form::new();
    form.push("returnTo", proxy::return_target(context));
    form.push("automatic", "");
    let login = [&context.origin, &context.login_path(), "?", &form.finish()].concat();
    if !is_for_nginx {
        return response::redirect(login);
    }
    let mut refused = refused;
    refused.headers.push(("location", login));
    refused
}

/// Returns a claim as the value of a header: visible ASCII, anything else percent-encoded, and the items of an array
/// separated by commas. A claim that is missing, null or an object is an empty string.
fn header_value(claim: Option<&Value>) -> String {
    let mut out = String::new();
    match claim {
        Some(Value::Array(items)) => {
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_value(&mut out, item);
            }
        }
        Some(value) => write_value(&mut out, value),
        None => {}
    }
    out
}

fn write_value(out: &mut String, value: &Value) {
    let mut text = String::new();
    match value {
        Value::String(own) => text.push_str(own),
        Value::Null | Value::Object(_) | Value::Array(_) => {}
        value => value.write(&mut text),
    }
    for c in text.chars() {
        if c.is_ascii_graphic() && !matches!(c, '%' | ',') {
            out.push(c);
        } else {
            out.push_str(&form::encoded(c.encode_utf8(&mut [0; 4])));
        }
    }
}

fn too_long(task: &Task, header: &str) -> OwnResponse {
    let message = [
        msg!("a claim is longer than 1024 bytes, so no request of its user passes; header: "),
        header,
    ];
    let error = Error::of(Code::LimitExceeded, &message);
    task.error_seldom(Seldom::Check, &error);
    response::error(403, &error)
}
