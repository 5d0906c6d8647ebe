//! Two endpoints for the client in the page. `GET <base>/config` is the configuration that `connect('/auth')` fetches.
//! It contains the time between the warning and the end of a session, and the URLs by which pages may call routes.
//! `GET <base>/popup` closes the popup of a login.

use rules::prelude::*;

use crate::csrf;
use crate::io::OwnResponse;
use crate::request::RequestContext;
use crate::response;
use rules::codec::json::Writer;
use rules::session::idle_notice;

/// Tells the tabs of this origin that a login may have finished, and closes the popup.
/// pkg/src/page/token-handler/handler-session.ts receives the message. The channel's name ends in the handler's base
/// path, which is this page's path without `/popup`.
const SCRIPT: &str =
    "new BroadcastChannel('strongroom '+location.pathname.slice(0,-6)).postMessage(0);close()";

/// The Content-Security-Policy that allows this script by its hash (CSP 3, 2.3.1), and no other script.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-6qYAHinrEXWgZqUXSgVwXKlM89Bx6bfxiFyBJijV9ks='; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Builds the page at which a login in a popup ends: `GET <base>/popup`. The page is independent of any session.
pub(crate) fn popup() -> OwnResponse {
    let body = [
        "<p>You can close this window.</p><script>",
        SCRIPT,
        "</script>",
    ];
    OwnResponse {
        headers: vec![("content-security-policy", POLICY.to_owned())],
        ..response::page(200, "You are signed in", "", &body.concat())
    }
}

/// Responds with the configuration for pages: `GET <base>/config`. By `base`, a page notices a proxy that changes paths.
/// Of the routes, the configuration contains only those that name a URL for pages.
pub(crate) fn handle(context: &RequestContext) -> OwnResponse {
    if let Err(error) = csrf::check_script(&context.request, &context.origin) {
        return response::error(403, &error);
    }
    let config = context.task.config();
    let mut routes = "[".to_owned();
    for route in &config.routes {
        let Some(url) = &route.url else { continue };
        if routes.len() > 1 {
            routes.push(',');
        }
        let named = Writer::object()
            .text("url", url.href())
            .text("prefix", &route.prefix)
            .finish();
        routes.push_str(&named);
    }
    routes.push(']');
    let body = Writer::object()
        .text("base", &config.base)
        .number("notice", idle_notice(config.flow.limits.idle).0)
        .json("routes", &routes)
        .finish();
    response::json(200, body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rules::oauth::pkce;

    #[test]
    fn popup_policy_matches_its_script() {
        use base64ct::{Base64, Encoding};
        let hash = Base64::encode_string(&pkce::sha256(SCRIPT.as_bytes()));
        assert!(
            POLICY.contains(&["'sha256-", &hash, "'"].concat()),
            "{hash}"
        );
    }
}
