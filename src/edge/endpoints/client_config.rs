//! What only the page's room asks for (`connect('/auth')` of `strongroom`): which addresses pages may go on calling APIs
//! by, and an end for popups in which a user has signed in.

use crate::prelude::*;

use crate::codec::json::Writer;
use crate::edge::csrf;
use crate::edge::io::Respond;
use crate::edge::request::Visit;
use crate::edge::response;

/// Tells the tabs of this origin that somebody may have signed in, and closes the popup: pkg/src/page/token-handler/token-handler-client.ts listens.
/// The channel's name ends in the handler's base, which is all in front of this page's name.
const SCRIPT: &str =
    "new BroadcastChannel('strongroom '+location.pathname.slice(0,-6)).postMessage(0);close()";

/// The script's hash (CSP 3, 2.3.1), so that the policy lets this one run and no other.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-6qYAHinrEXWgZqUXSgVwXKlM89Bx6bfxiFyBJijV9ks='; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Where a login in a popup comes back to: `GET <base>/popup`. It knows nothing of a session.
pub(in crate::edge) fn popup() -> Respond {
    let body = [
        "<p>You can close this window.</p><script>",
        SCRIPT,
        "</script>",
    ];
    Respond {
        headers: vec![("content-security-policy", POLICY.to_owned())],
        ..response::page(200, "You are signed in", "", &body.concat())
    }
}

impl Visit {
    /// What a page has to know of the configuration: `GET <base>/config`. Only what routes name for pages is in it.
    pub(in crate::edge) fn client_config(&self) -> Respond {
        if let Err(error) = csrf::check_script(&self.request, &self.origin) {
            return response::error(403, &error);
        }
        let config = self.task.config();
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
            .number("idle", config.flow.limits.idle.0)
            .json("routes", &routes)
            .finish();
        response::json(200, body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::pkce;

    #[test]
    fn the_popups_policy_lets_its_script_run() {
        use base64ct::{Base64, Encoding};
        let hash = Base64::encode_string(&pkce::sha256(SCRIPT.as_bytes()));
        assert!(
            POLICY.contains(&["'sha256-", &hash, "'"].concat()),
            "{hash}"
        );
    }
}
