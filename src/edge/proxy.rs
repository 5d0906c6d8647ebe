//! Requests to upstreams: the handler replaces the cookie by the access token.
//!
//! The browser's URL is parsed once. The forwarded URL consists of the route's `upstream` and the part of the browser's
//! URL behind the route's prefix. The egress policy ([`rules::egress::policy`]) checks the forwarded URL, so no
//! path leads out of the upstream.

pub(super) mod headers;
mod refusal_log;
mod repetition;

use alloc::borrow::Cow;
use alloc::rc::Rc;
use rules::prelude::*;

use crate::config::Route;
use crate::csrf;
use crate::io::{Effect, Forward, Head, OwnResponse, Reply, Response};
use crate::isolate::Seldom;
use crate::navigation;
use crate::provider::documents;
use crate::provider::dpop::{self, asks_for_nonce};
use crate::proxy::repetition::BodyCopy;
use crate::refresh;
use crate::refusal::{RETRY_AFTER, Refusal};
use crate::request::RequestContext;
use crate::response;
use crate::session::Session;
use crate::store::record_store;
use crate::task::boxed;
use rules::Secret;
use rules::base::clock::Millis;
use rules::base::error::{Code, Error, quote, quote_url};
use rules::base::http::RESPONSE_STATUSES;
use rules::codec::form::Form;
use rules::codec::json;
use rules::codec::url::redirect_target;
use rules::egress::policy::{Allowed, MAX_HEADER_BYTES, MAX_HEADERS};
use rules::egress::token_reflection::{Guard, Scope};
use rules::oauth::dpop::ProvenRequest;
use rules::oauth::www_authenticate::{self, Demand};

/// Longest return path of a login. The path must fit into a cookie.
const LONGEST_TARGET: usize = 1024;

/// Handles a request for anything but the handler's own endpoints.
pub(super) async fn handle(context: &RequestContext) -> Response {
    let config = context.task.config();
    let Some(route) = config.route(context.url.path()) else {
        let page = if navigation::may_lack_renewal(context) {
            boxed(navigation::renewing_page(
                context,
                context.url.without_fragment(),
            ))
            .await
        } else {
            None
        };
        return page.map_or(Response::NotHandled, Response::Own);
    };
    if csrf::is_navigation(&context.request) {
        return match boxed(navigate(context, route)).await {
            Response::Own(response) => Response::Own(response::sever(response)),
            response => response,
        };
    }
    if let Err(error) = check_sender(context, route) {
        let is_page = route.navigate && context.request.method == "GET";
        return Response::Own(if is_page && csrf::is_replaced(&context.request) {
            navigation::worker_page(context, &route.prefix)
        } else {
            response::error(403, &error)
        });
    }
    let allowed = match authorize(context, route).await {
        Ok(allowed) => allowed,
        Err(response) => return Response::Own(response),
    };
    match context.current_session().await {
        Ok(Some((session, is_new))) => forward(context, route, &allowed, session, is_new).await,
        Ok(None) => Response::Own(response::login_required()),
        Err(refusal) => Response::Own(context.refusal_response(&refusal).await),
    }
}

/// Handles a navigation to a route.
async fn navigate(context: &RequestContext, route: &Route) -> Response {
    if csrf::is_prefetch(&context.request) {
        return Response::Own(response::not_prefetched());
    }
    let allowed = match authorize(context, route).await {
        Ok(allowed) => allowed,
        Err(response) => return Response::Own(response),
    };
    match context.current_session().await {
        Ok(Some(_)) if !route.navigate => Response::Own(response::refuse(
            403,
            Code::CrossSiteRequest,
            msg!("this address is for scripts of the app, not for top-level navigations"),
        )),
        // A navigation from elsewhere may come without the bound cookie. A click on the page's link lets the browser renew it.
        Ok(Some(_)) | Err(Refusal::BoundCookieMissing { was_skipped: false })
            if !navigation::may_open(context).await =>
        {
            let page = navigation::ask_for_click(context, 403, "Open this page", &context.url);
            Response::Own(page.await)
        }
        Ok(Some((session, is_new))) => {
            let mut response = forward(context, route, &allowed, session, is_new).await;
            if let Some(end) = navigation::end_mark(context) {
                response.set_cookie(end);
            }
            response
        }
        Ok(None) => Response::Own(redirect_to_login(context, route)),
        Err(refusal @ (Refusal::Ended(_) | Refusal::Interaction)) => {
            let cookies = context.refusal_response(&refusal).await.cookies;
            Response::Own(OwnResponse {
                cookies,
                ..redirect_to_login(context, route)
            })
        }
        // The browser has lost the session's key.
        Err(Refusal::BoundCookieMissing { was_skipped: false }) => {
            Response::Own(redirect_to_login(context, route))
        }
        Err(refusal) => Response::Own(context.refusal_response(&refusal).await),
    }
}

/// Checks that a script of the app sent the request, and that the response becomes neither a document nor code.
fn check_sender(context: &RequestContext, route: &Route) -> Result<(), Error> {
    csrf::check_destination(&context.request)?;
    if route.media && csrf::is_of_media_element(&context.request) {
        return csrf::check_media_element(&context.request, &context.origin);
    }
    if let Some(outer) = &context.request.outer {
        csrf::check_outer(&context.request, outer, &context.origin)?;
    }
    if csrf::is_socket(&context.request) {
        csrf::require_origin(&context.request, &context.origin)
    } else {
        csrf::check_script(&context.request, &context.origin)
    }
}

/// Returns the path of the app to which a login returns that begins with this request.
pub(super) fn return_target(context: &RequestContext) -> &str {
    let here = context.url.relative_without_fragment();
    if here.len() <= LONGEST_TARGET {
        here
    } else {
        "/"
    }
}

/// Redirects a navigation to the login, because there is no usable session.
fn redirect_to_login(context: &RequestContext, route: &Route) -> OwnResponse {
    let target = match route.navigate {
        true => return_target(context),
        false => "/",
    };
    let mut form = Form::new();
    form.push("returnTo", target);
    response::redirect(
        [
            context.task.config().base.as_str(),
            "/login?",
            &form.finish(),
        ]
        .concat(),
    )
}

/// Checks the size of the request's headers, and compares the request's target and method with the route.
async fn authorize(context: &RequestContext, route: &Route) -> Result<Allowed, OwnResponse> {
    if context.request.header_count > MAX_HEADERS || context.request.header_bytes > MAX_HEADER_BYTES
    {
        return Err(response::refuse(
            431,
            Code::LimitExceeded,
            msg!("the request has more than 100 headers, or more than 32768 bytes of them"),
        ));
    }
    let config = context.task.config();
    if config.is_spelling_of_narrower(context.url.path(), route) {
        // The path may contain a user's data.
        let message = [
            msg!("the path is another spelling of a path of a narrower route than "),
            &route.prefix,
        ];
        context
            .task
            .fault_seldom(Seldom::Address, &message.concat());
        return Err(refused_address(Code::UrlNotAllowed));
    }
    let rest = context.url.without_fragment();
    let start = rest.len() - context.url.relative_without_fragment().len() + route.prefix.len();
    let rest = rest.get(start..).unwrap_or_default();
    let target = [route.upstream.href(), rest].concat();
    let mut rules = Cow::Borrowed(&route.rules);
    // If the upstream is on an origin of the provider, the provider's own endpoints must get no token, so the handler
    // needs the metadata first. For other upstreams, the handler does not fetch the metadata: otherwise each new
    // isolate would depend on the provider.
    if context
        .task
        .isolate()
        .provider
        .borrow()
        .is_on_origin_of(&route.upstream)
    {
        let metadata = boxed(documents::metadata(&context.task)).await;
        let metadata = metadata.map_err(|error| response::later(&error, RETRY_AFTER))?;
        rules.to_mut().forbid(&metadata.endpoints());
    }
    let decided = rules.decide(&target, &context.request.method);
    decided.map_err(|(code, why)| refuse_target(context, route, code, why))
}

/// Returns the response to a request whose target or method the route does not allow.
fn refuse_target(context: &RequestContext, route: &Route, code: Code, why: &str) -> OwnResponse {
    match code {
        Code::MethodNotAllowed => {
            let route_takes = [
                msg!("the route "),
                &route.prefix,
                msg!(" allows only these methods: "),
            ];
            response::method_not_allowed(&route_takes, &route.methods.join(", "))
        }
        Code::LimitExceeded => {
            response::refuse(414, Code::LimitExceeded, msg!("the address is too long"))
        }
        code => {
            // The path may contain a user's data.
            let message = [why, msg!(", at the route "), &route.prefix];
            let error = Error::of(code, &message);
            context.task.error_seldom(Seldom::Address, &error);
            refused_address(code)
        }
    }
}

fn refused_address(code: Code) -> OwnResponse {
    response::refuse(404, code, msg!("the route does not allow this address"))
}

async fn forward(
    context: &RequestContext,
    route: &Route,
    allowed: &Allowed,
    session: Rc<Session>,
    is_new: bool,
) -> Response {
    let sent = match send_and_renew(context, route, allowed, session, is_new).await {
        Ok(sent) => sent,
        Err(response) => return Response::Own(response),
    };
    if let Some(response) = judge_token(context, route, &sent) {
        return Response::Own(response);
    }
    let Sent {
        head,
        session,
        is_new,
        ..
    } = sent;
    if (300..400).contains(&head.status) && head.status != 304 {
        return Response::Own(refuse_redirect(context, route, allowed, &head));
    }
    if !is_usable(&head, context) {
        return Response::Own(refuse_status(context, route, head.status));
    }
    if csrf::is_of_media_element(&context.request) && !is_media(&head, context) {
        return Response::Own(refuse_type(context, route));
    }
    let demand = demand_of(context, route, allowed, &head, &session);
    let refused = refuse_coding(context, route, &head, &session);
    let cookies = context.updated_cookies(session, is_new).await;
    match demand {
        None if refused.is_some() => Response::Own(OwnResponse {
            cookies,
            ..refused.unwrap_or_default()
        }),
        None => Response::Upstream {
            cookies,
            keeps_challenge: head
                .challenge
                .as_deref()
                .is_some_and(www_authenticate::has_only_call_schemes),
        },
        Some(demand) => Response::Own(OwnResponse {
            cookies,
            ..demand_response(head.status, &demand)
        }),
    }
}

/// A request that the upstream has answered.
struct Sent {
    head: Head,
    /// The session with whose token the request was sent.
    with: Rc<Session>,
    /// The session from now on.
    session: Rc<Session>,
    /// True if the browser does not have this session's cookie yet.
    is_new: bool,
}

/// Sends the request. If the upstream refuses the token, renews the session, and sends the request once more. A request
/// whose body is gone is not repeated, but the next request gets the new token.
async fn send_and_renew(
    context: &RequestContext,
    route: &Route,
    allowed: &Allowed,
    session: Rc<Session>,
    is_new: bool,
) -> Result<Sent, OwnResponse> {
    let copy = BodyCopy::begin(context);
    let head = send(context, route, allowed, &session, &copy).await?;
    let with = session.clone();
    let mut sent = Sent {
        head,
        with,
        session,
        is_new,
    };
    if !refuses_token(&sent.head) {
        return Ok(sent);
    }
    repetition::confirm_refusal(context, route, &sent.session);
    if repetition::may_renew(context, route, &sent.session)
        && let Ok(renewed) = boxed(renewed(context, &sent.session)).await
    {
        (sent.session, sent.is_new) = (renewed, true);
        repetition::note_refusal(context, route, &sent.session);
        if copy.may_repeat(&sent.head) {
            sent.head = send(context, route, allowed, &sent.session, &copy).await?;
            sent.with = sent.session.clone();
        }
    }
    Ok(sent)
}

/// Notes if the upstream accepted the token. Returns a response if only the user can get another token.
fn judge_token(context: &RequestContext, route: &Route, sent: &Sent) -> Option<OwnResponse> {
    let Sent { head, with, .. } = sent;
    if !refuses_token(head) {
        if repetition::accepts_token(head.status) {
            repetition::note_success(context, route, with);
        }
    } else if repetition::is_new_token(context, with) {
        repetition::note_refusal(context, route, with);
        repetition::confirm_refusal(context, route, with);
        refusal_log::log(context, route, head, with);
    } else if with.lasts_until_refused() {
        return Some(response::refusal(&Refusal::Interaction));
    }
    None
}

/// Returns the fault of a response that cannot be forwarded. Each route counts apart.
fn response_of(context: &RequestContext, route: &Route) -> Seldom {
    Seldom::UpstreamResponse(context.task.config().index_of(route))
}

/// Reports a redirect, and refuses it. Only the operator may see where the upstream is.
fn refuse_redirect(
    context: &RequestContext,
    route: &Route,
    allowed: &Allowed,
    head: &Head,
) -> OwnResponse {
    let target = redirect_target(head.location.as_deref(), allowed.url());
    let message = Error::of(
        Code::RedirectBlocked,
        &[
            &allowed.description(),
            msg!(": the response is a redirect, which is not followed, to "),
            match (&target, &head.location) {
                (Some(_), _) => "",
                (None, Some(_)) => msg!("no URL"),
                // Node hides the address if the request's body is streamed.
                (None, None) => msg!("no URL, or to one that this platform hides"),
            },
            &target.as_deref().map(quote_url).unwrap_or_default(),
        ],
    );
    context
        .task
        .error_seldom(response_of(context, route), &message);
    response::refuse(
        502,
        Code::RedirectBlocked,
        msg!("the API responded with a redirect, which the handler does not follow"),
    )
}

/// Reports a response whose status no platform can forward, and refuses it.
fn refuse_status(context: &RequestContext, route: &Route, status: u16) -> OwnResponse {
    let mut message = route.upstream.href().to_owned();
    message.push_str(msg!(" responded with the status "));
    json::write_number(&mut message, status.into());
    message.push_str(msg!(", which no platform can put into a Response"));
    context
        .task
        .fault_seldom(response_of(context, route), &message);
    response::refuse(
        502,
        Code::UpstreamUnavailable,
        msg!("the API responded with a status that cannot be forwarded"),
    )
}

/// Reports and refuses a response that must be searched for the token and cannot be.
fn refuse_coding(
    context: &RequestContext,
    route: &Route,
    head: &Head,
    session: &Session,
) -> Option<OwnResponse> {
    const WHY: &str = msg!(
        " used a Content-Encoding that this platform does not decode, so the response cannot be searched for the token"
    );
    let coding = head.undecoded.as_deref();
    let coding = coding.filter(|_| route.reflection == Scope::All)?;
    let mut message = [route.upstream.href(), WHY].concat();
    if !is_reflected(context, route, session, coding) {
        message.push_str(": ");
        message.push_str(&quote(coding));
    }
    context
        .task
        .fault_seldom(response_of(context, route), &message);
    let message = [msg!("the API"), WHY].concat();
    Some(response::refuse(502, Code::UpstreamUnavailable, &message))
}

/// Returns true if a header of the response contains one of the session's tokens.
fn is_reflected(context: &RequestContext, route: &Route, session: &Session, header: &str) -> bool {
    let others = record_store::other_tokens(&context.task, session);
    Guard::of_session(session.access_token.expose(), others.expose())
        .filter(|_| route.reflection != Scope::Nothing)
        .is_some_and(|guard| guard.is_in(header.as_bytes()))
}

/// Returns true unless a response with content has another type than its element expects.
fn is_media(head: &Head, context: &RequestContext) -> bool {
    const NO_CONTENT: u16 = 204;
    let kind = head.content_type.as_deref().unwrap_or_default();
    !(200..300).contains(&head.status)
        || head.status == NO_CONTENT
        || csrf::is_for_element(kind, &context.request)
}

/// Reports a response to an element of a page whose type the element does not expect, and refuses it.
fn refuse_type(context: &RequestContext, route: &Route) -> OwnResponse {
    let message = [
        route.upstream.href(),
        msg!(
            " responded to a picture, a video or another element with a Content-Type that is not of this kind"
        ),
    ];
    context
        .task
        .fault_seldom(response_of(context, route), &message.concat());
    response::refuse(
        502,
        Code::UpstreamUnavailable,
        msg!("the API's response has a Content-Type that does not fit the element"),
    )
}

/// Returns true if the response can be forwarded. A handshake of a WebSocket has the status 101.
fn is_usable(head: &Head, context: &RequestContext) -> bool {
    RESPONSE_STATUSES.contains(&head.status)
        || head.status == 101 && csrf::is_socket(&context.request)
}

/// Forwards the request with the session's access token. If the upstream asks for a nonce and the request can be repeated,
/// repeats it with the nonce (RFC 9449 9).
async fn send(
    context: &RequestContext,
    route: &Route,
    allowed: &Allowed,
    session: &Session,
    copy: &BodyCopy,
) -> Result<Head, OwnResponse> {
    let mut proven = ProvenRequest::default();
    loop {
        let mut forward = forward_with_token(context, route, allowed, session, &mut proven).await?;
        forward.copies_body = copy.is_made;
        let Reply::Head(head) = context.task.perform(Effect::Forward(forward)).await else {
            let message = [msg!("no response from "), route.upstream.href()].concat();
            let fault = Seldom::Upstream(context.task.config().index_of(route));
            context.task.fault_seldom(fault, &message);
            return Err(response::refuse(
                502,
                Code::UpstreamUnavailable,
                msg!("the API did not respond"),
            ));
        };
        let nonce = head.dpop_nonce.as_deref();
        let may_repeat = asks_for_nonce(&head) && copy.may_repeat(&head);
        if session.dpop_key.is_none()
            || !dpop::is_proven_again(&context.task, &mut proven, allowed.url(), nonce, may_repeat)
        {
            return Ok(head);
        }
    }
}

/// Builds the forwarded request with its token and proof.
async fn forward_with_token(
    context: &RequestContext,
    route: &Route,
    allowed: &Allowed,
    session: &Session,
    proven: &mut ProvenRequest,
) -> Result<Forward, OwnResponse> {
    let token = &session.access_token;
    let (scheme, proof) = match &session.dpop_key {
        None => ("Bearer ", None),
        Some(key) => {
            let target = (allowed.method(), allowed.url());
            let proof = dpop::prove_call(&context.task, key, target, token, proven).await;
            ("DPoP ", Some(proof.ok_or_else(response::failure)?))
        }
    };
    Ok(Forward {
        url: allowed.url().to_owned(),
        authorization: Secret::new([scheme, token.expose()].concat()),
        proof,
        others: record_store::other_tokens(&context.task, session),
        reflection: route.reflection,
        keep: route.headers.kept().to_owned(),
        remove: route.headers.removed(route.reflection == Scope::All),
        timeout: route.timeout,
        copies_body: false,
        is_upgrade: csrf::is_socket(&context.request),
        request_id: context.task.request_id(),
        route: context.task.config().index_of(route),
    })
}

async fn renewed(context: &RequestContext, session: &Session) -> Result<Rc<Session>, Refusal> {
    let spent = Session {
        lifetime: Millis::ZERO,
        ..session.clone()
    };
    refresh::renew(&context.task, Rc::new(spent)).await
}

fn refuses_token(head: &Head) -> bool {
    www_authenticate::refuses_token(head.status, head.challenge.as_deref())
}

/// Returns the API's demand on the user (RFC 9470, RFC 6750 3.1), if the route passes demands to pages. A demand that
/// contains a token is not passed: the host refuses such a response.
fn demand_of(
    context: &RequestContext,
    route: &Route,
    allowed: &Allowed,
    head: &Head,
    session: &Session,
) -> Option<Demand> {
    let challenge = head.challenge.as_deref().filter(|_| allowed.steps_up())?;
    if is_reflected(context, route, session, challenge) {
        return None;
    }
    www_authenticate::demand(head.status, challenge)
}

/// Builds the error that tells a page what the API demands. For a step-up, the error has the options of the login. For
/// a scope, the error has no such options, because a login cannot request more than the configured scopes.
fn demand_response(status: u16, demand: &Demand) -> OwnResponse {
    match demand {
        Demand::StepUp { .. } => response::error_with(
            status,
            &Error::new(
                Code::StepUpRequired,
                msg!("the API requires the user to authenticate in another way, or more recently"),
            ),
            |fault| {
                fault.json("login", &demand.login());
            },
        ),
        Demand::Scope(scope) => response::error(
            status,
            &Error::of(
                Code::InsufficientScope,
                &[msg!("the API requires a token with more scope: "), scope],
            ),
        ),
    }
}
