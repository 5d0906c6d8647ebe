//! The line in the log of a handler on loopback about an upstream that refuses new access tokens, which shows a
//! developer that audience, scope or issuer of the tokens are not those that the upstream expects.

use crate::prelude::*;

use crate::Secret;
use crate::base::strings;
use crate::edge::config::Route;
use crate::edge::io::Head;
use crate::edge::isolate::Seldom;
use crate::edge::request::RequestContext;
use crate::edge::session::Session;
use crate::edge::store::record_store;
use crate::oauth::www_authenticate;

/// Logs the refusal of a new token, with the upstream's reason.
pub(super) fn log(context: &RequestContext, route: &Route, head: &Head, session: &Session) {
    if context.url.scheme() != "http" {
        return;
    }
    let mut message = route.upstream.href().to_owned();
    message.push_str(msg!(
        " responded with 401 to an access token that was issued a moment ago"
    ));
    if let Some(reason) = reason_in(context, head, session) {
        message.push_str(": ");
        message.push_str(&reason);
    }
    context.task.fault_seldom(Seldom::RefusedToken, &message);
}

/// Returns the upstream's error and description, unless they contain a token.
fn reason_in(context: &RequestContext, head: &Head, session: &Session) -> Option<String> {
    let others = record_store::other_tokens(&context.task, session);
    let mut tokens: Vec<&str> = strings::split(others.expose(), b'\n').collect();
    tokens.push(session.access_token.expose());
    tokens.extend(session.refresh_token.as_ref().map(Secret::expose));
    www_authenticate::loggable_reason(head.challenge.as_deref()?, &tokens)
}
