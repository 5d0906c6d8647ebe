//! The line in the log of a handler on loopback about an upstream that refuses new access tokens, which shows a
//! developer that audience, scope or issuer of the tokens are not those that the upstream expects.

use rules::prelude::*;

use crate::config::Route;
use crate::io::Head;
use crate::isolate::Seldom;
use crate::request::RequestContext;
use crate::session::Session;
use crate::store::record_store;
use rules::Secret;
use rules::base::strings;
use rules::oauth::www_authenticate;

/// Logs the refusal of a new token, with the upstream's reason.
pub(super) fn log(context: &RequestContext, route: &Route, head: &Head, session: &Session) {
    if context.url.scheme() != "http" {
        return;
    }
    let others = record_store::other_tokens(&context.task, session);
    let mut tokens: Vec<&str> = strings::split(others.expose(), b'\n').collect();
    tokens.push(session.access_token.expose());
    tokens.extend(session.refresh_token.as_ref().map(Secret::expose));
    let (api, header) = (route.upstream.href(), head.challenge.as_deref());
    let message = www_authenticate::refusal_of_new_token(api, header, &tokens);
    let fault = Seldom::RefusedToken(context.task.config().index_of(route));
    context.task.fault_seldom(fault, &message);
}
