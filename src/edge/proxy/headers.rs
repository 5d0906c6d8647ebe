//! The header policy: the headers that the handler removes and sets, as data that the host applies with the platform's
//! own `Headers`. [`rules::egress::request_headers`] says how names are compared.
//!
//! An upstream gets the browser's headers, except for the list in [`rules::egress::request_headers`] and the headers
//! that `Connection` names (RFC 9110 7.6.1). A route can allow or deny more headers. `Range` is removed if response
//! bodies are searched for the token, because the search does not recognize parts of a token. Without `Range`, a server
//! sends the whole response. HTTP lets servers ignore `Range` anyway (RFC 9110 14.2).
//!
//! An upstream's response becomes a response of the app's own origin. Headers that affect the origin are therefore
//! removed (cookies, CORS, service workers, reporting, transport security). The handler also removes headers by which
//! caches keep a response despite `no-store`, and headers by which intermediate servers send files or redirect. The
//! response is not a document of the app: browsers must not sniff its type or show it in a frame, and they open it in a
//! sandbox without scripts. `X-Strongroom` marks errors of the handler itself, so a page can distinguish them from
//! errors of an upstream.

use rules::prelude::*;

use rules::codec::json;
use rules::egress::request_headers::{Exceptions, pattern};

/// Headers removed from upstreams' responses.
const RESPONSE: &str = "\
    connection keep-alive proxy-* te trailer transfer-encoding upgrade content-length content-encoding \
    set-cookie set-cookie2 clear-site-data access-control-* timing-allow-origin service-worker-allowed dpop-nonce \
    set-login secure-session-* sec-session-* use-as-dictionary speculation-rules activate-storage-access \
    x-lighttpd-send-* x-sendfile2 x-reproxy-* x-litespeed-* alt-svc strict-transport-security public-key-pins* expect-ct accept-ch critical-ch origin-agent-cluster \
    nel report-to reporting-endpoints refresh x-frame-options content-security-policy-report-only \
    pragma x-accel-redirect x-sendfile x-middleware-* x-strongroom";

/// Headers by which caches keep a response despite `Cache-Control`. The adapters remove them from responses of the app
/// that depend on its session.
const FOR_CACHES: &str =
    "expires age surrogate-control x-accel-expires *cache-control* *edge-control*";

/// Headers that the handler sets on upstreams' responses, in place of the upstream's own. The host adds `no-transform` to
/// `Cache-Control` where it must stay.
const PASSED: &[(&str, &str)] = &[
    ("cache-control", "no-store"),
    ("vary", "Cookie"),
    ("x-content-type-options", "nosniff"),
    (
        "content-security-policy",
        "sandbox; default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
];

/// Headers set on the handler's own responses, unless a response already has them.
const OWN: &[(&str, &str)] = &[
    ("cache-control", "no-store"),
    ("vary", "Cookie"),
    ("x-content-type-options", "nosniff"),
    (
        "content-security-policy",
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    // Script of the app could otherwise use a window with such a response to reach other servers (docs/exits.md).
    ("connection-allowlist", "(response-origin);redirects=allow"),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
];

/// Returns the policy as JSON:
///
/// ```json
/// {
///   "request": "^(?:cookie|proxy[^a-z0-9].*)$",
///   "response": "^(?:set[^a-z0-9]cookie|.*cdn[^a-z0-9]cache[^a-z0-9]control|vary)$",
///   "passed": { "vary": "Cookie" },
///   "own": { "vary": "Cookie" }
/// }
/// ```
///
/// `request` and `response` match the headers to remove, by their names in lower case ([`pattern`]). Headers named by
/// `Connection` are also removed. [`Forward`](crate::Forward) contains a route's changes to the policy. `passed`
/// is added to upstreams' responses; `own` is for [responses of the handler itself](crate::OwnResponse), where
/// existing headers stay.
#[must_use]
pub fn policy() -> String {
    let mut removed = [RESPONSE, " ", FOR_CACHES].concat();
    for (name, _) in PASSED {
        removed.push(' ');
        removed.push_str(name);
    }
    json::Writer::object()
        .text("request", &pattern(&Exceptions::removed_by_default()))
        .text("response", &pattern(&removed))
        .json("passed", &fields(PASSED))
        .json("own", &fields(OWN))
        .finish()
}

fn fields(fields: &[(&str, &str)]) -> String {
    let mut out = json::Writer::object();
    for (name, value) in fields {
        out.text(name, value);
    }
    out.finish()
}
