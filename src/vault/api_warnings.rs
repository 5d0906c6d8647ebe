//! Warnings for the developer of an app on loopback about calls that an API, or the browser, refuses. The page gets each
//! warning once for each origin.
//!
//! No script can tell why the browser refuses a response. The warning about an API that never responds therefore depends
//! on an earlier response: an API that has responded once has the right settings, and is probably unreachable now.

use rules::prelude::*;

use crate::context::Context;
use crate::io::{PortId, ResponseHead};
use rules::Secret;
use rules::base::clock::Millis;
use rules::base::error::{Code, Error};
use rules::codec::url;
use rules::egress::policy::TokenSelector;
use rules::oauth::www_authenticate;
use rules::session::Session;

/// The time for which the token of a login counts as issued a moment ago.
const FRESH: Millis = Millis::from_secs(60);

/// The warnings that pages have got, and the APIs that have responded, by their origins.
#[derive(Default)]
pub(crate) struct ApiWarnings {
    shown: Vec<(Code, String)>,
    responding: Vec<String>,
}

impl ApiWarnings {
    /// Handles a response to a call of `url`.
    pub(crate) fn on_response(&mut self, ctx: &Context, url: &str) {
        let origin = url::origin(url);
        if is_developed(ctx) && !self.responding.iter().any(|known| known == origin) {
            self.responding.push(origin.to_owned());
        }
    }

    /// Handles a response that the page is about to get.
    pub(crate) fn on_refusal(
        &mut self,
        ctx: &mut Context,
        port: PortId,
        (url, selector): (&str, TokenSelector),
        was_retried: bool,
        head: &ResponseHead,
    ) {
        let header = head.www_authenticate.as_deref();
        if !is_developed(ctx) || !refuses_fresh_token(ctx, was_retried, head.status, header) {
            return;
        }
        let origin = url::origin(url);
        let message = refusal(ctx, selector, origin, header);
        self.warn(ctx, port, Code::TokenRefused, origin, &message);
    }

    /// Handles a call of `url` that got no response.
    pub(crate) fn on_failure(&mut self, ctx: &mut Context, port: PortId, url: &str) {
        let origin = url::origin(url);
        if is_developed(ctx) && !self.responding.iter().any(|known| known == origin) {
            let message = [msg!("no call to "), origin, msg!(" has got a response")].concat();
            self.warn(ctx, port, Code::ApiUnreachable, origin, &message);
        }
    }

    /// Handles a part of a resource whose `Content-Range` cannot be read. Returns the error of the call.
    pub(crate) fn on_hidden_range(&mut self, ctx: &mut Context, port: PortId, url: &str) -> Error {
        let origin = url::origin(url);
        let message = [
            origin,
            msg!(" has sent a part of a file, and does not let scripts read its Content-Range"),
        ]
        .concat();
        if is_developed(ctx) {
            self.warn(ctx, port, Code::RangeHidden, origin, &message);
        }
        Error::new(Code::RangeHidden, &message)
    }

    fn warn(&mut self, ctx: &mut Context, port: PortId, code: Code, origin: &str, text: &str) {
        let warning = (code, origin.to_owned());
        if !self.shown.contains(&warning) {
            self.shown.push(warning);
            ctx.trace(code.as_str(), Some(text));
            ctx.post_warning(port, &Error::new(code, text));
        }
    }
}

/// Returns true if the app is on loopback.
fn is_developed(ctx: &Context) -> bool {
    ctx.config.redirect_uri.scheme() == "http"
}

/// Returns true if an API refuses a token although it is new, so that the reason is in the token. The challenges of a
/// step-up and of DPoP have other reasons.
fn refuses_fresh_token(
    ctx: &Context,
    was_retried: bool,
    status: u16,
    header: Option<&str>,
) -> bool {
    let has_error =
        |error: &str| header.is_some_and(|header| www_authenticate::has_error(header, error));
    let has_other_reason = has_error("insufficient_user_authentication")
        || has_error("invalid_dpop_proof")
        || has_error("use_dpop_nonce");
    let is_young = |session: &Session| session.age(&ctx.now) < FRESH;
    status == 401
        && !has_other_reason
        && (was_retried
            || has_error("insufficient_scope")
            || ctx.session.as_deref().is_some_and(is_young))
}

/// Returns the text of the warning, with the reason of the API unless it contains a token.
fn refusal(ctx: &Context, selector: TokenSelector, api: &str, header: Option<&str>) -> String {
    let Some(session) = ctx.session.as_deref() else {
        return www_authenticate::refusal_of_new_token(api, None, &[]);
    };
    let searched = ctx
        .searched
        .with(session.latest_access_token_of(selector), &ctx.now);
    let mut tokens: Vec<&str> = searched.iter().map(Secret::expose).collect();
    session.for_each_token(|_, token| tokens.push(token.expose()));
    www_authenticate::refusal_of_new_token(api, header, &tokens)
}
