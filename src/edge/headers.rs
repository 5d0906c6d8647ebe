//! Which header fields pass the handler, and which ones it sets: data, which the host carries out on the platform's own
//! `Headers`. Names are in lower case; one that ends in `*` stands for all that begin like it.
//!
//! What goes to an upstream is what the browser sent, without
//! - what is for one connection (RFC 9110 7.6.1): these, and those that `Connection` names;
//! - what authorises: the handler's own cookie, and anything by which somebody could pass for somebody else, above all
//!   the names under which proxies tell their backends who has come from where (RFC 9440 4 asks for that of one pair);
//! - what overrides: the method, the address, or what a framework's middleware has decided;
//! - `Origin` and `Referer`: the handler has checked where the request is from, an API has no other use for them, and the
//!   app's addresses are none of its business;
//! - `Accept-Encoding`: what is searched for the token has to be plain, so the platform asks for what it can undo.
//!
//! What comes from an upstream becomes an answer of the app's own origin. So it loses what would speak for that origin
//! (cookies, CORS, service workers, reporting, transport security), what tells caches in between to keep it in spite of
//! `no-store`, and what makes servers in between send a file or go elsewhere. And it is no document of the app's: it is
//! not sniffed, not framed, and a sandbox without scripts if somebody opens it. `X-Strongroom` marks errors of the handler's
//! own, so that a page can tell them from an upstream's.

use crate::prelude::*;

use crate::json;
use crate::text;

/// Taken out of requests.
const REQUEST: &str = "\
    connection keep-alive proxy-* te trailer transfer-encoding upgrade http2-settings content-length expect \
    host cookie cookie2 authorization dpop x-strongroom x-auth-* x-authenticated-* \
    forwarded via x-forwarded x-forwarded-* x-real-ip x-scheme x-originating-ip x-proxy-user x-webauth-user x-userinfo x-id-token x-access-token \
    x-jwt-assertion x-endpoint-api-userinfo x-apigateway-api-userinfo x-consumer-* x-credential-* x-pomerium-* x-authentik-* tailscale-* x-client-ip x-client-cert* x-client-dn x-client-verify x-cluster-client-ip true-client-ip client-ip \
    client-cert* ssl-* x-ssl-* remote-* x-remote-* cf-* cloudfront-* fastly-* fly-* x-amzn-* x-appengine-* x-arr-* x-azure-* \
    x-envoy-* x-goog-authenticated-* x-goog-iap-* x-ms-client-principal* x-nf-* x-vercel-* \
    x-http-method* x-http-host-override x-method-override x-host x-forward-for x-original-* x-rewrite-* x-middleware-* \
    sec-* service-worker* origin referer accept-encoding";

/// Taken out of an upstream's answers.
const RESPONSE: &str = "\
    connection keep-alive proxy-* te trailer transfer-encoding upgrade content-length content-encoding \
    set-cookie set-cookie2 clear-site-data access-control-* timing-allow-origin service-worker-allowed dpop-nonce \
    set-login secure-session-* sec-session-* use-as-dictionary speculation-rules activate-storage-access \
    x-lighttpd-send-* x-sendfile2 x-reproxy-* x-litespeed-* alt-svc strict-transport-security public-key-pins* expect-ct accept-ch critical-ch origin-agent-cluster \
    nel report-to reporting-endpoints refresh x-frame-options content-security-policy-report-only \
    expires pragma age surrogate-control edge-control *cdn-cache-control x-accel-redirect x-accel-expires x-sendfile \
    x-middleware-* x-strongroom";

/// Authentication schemes that a challenge may name. Browsers ask users for a password for others.
const CHALLENGES: &str = "bearer dpop";

/// Set on what an upstream answers, in place of its own.
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

/// Set on the handler's own answers, unless they have one.
const OWN: &[(&str, &str)] = &[
    ("cache-control", "no-store"),
    ("vary", "Cookie"),
    ("x-content-type-options", "nosniff"),
    (
        "content-security-policy",
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
];

/// The policy, as JSON:
///
/// ```json
/// {
///   "request": { "remove": ["cookie", "proxy-*"] },
///   "response": { "remove": ["set-cookie", "*cdn-cache-control"], "challenges": ["bearer"], "set": { "vary": "Cookie" } },
///   "own": { "vary": "Cookie" }
/// }
/// ```
///
/// A `*` at the beginning or the end of a name stands for anything, and `_` in a request's for `-`: what runs behind CGI
/// or its heirs cannot tell the two apart. From requests, what `Connection` names goes as well.
/// `challenges` are the schemes that `WWW-Authenticate` may name: another one is taken out. `set` replaces what was
/// there; `own` is for [answers of the handler's own](super::Respond), where it does not replace what they have.
#[must_use]
pub fn policy() -> String {
    let request = json::Writer::object()
        .json("remove", &list(REQUEST))
        .finish();
    let response = json::Writer::object()
        .json("remove", &list(RESPONSE))
        .json("challenges", &list(CHALLENGES))
        .json("set", &fields(PASSED))
        .finish();
    json::Writer::object()
        .json("request", &request)
        .json("response", &response)
        .json("own", &fields(OWN))
        .finish()
}

fn list(names: &str) -> String {
    json::texts(text::words_of(names))
}

fn fields(fields: &[(&str, &str)]) -> String {
    let mut out = json::Writer::object();
    for (name, value) in fields {
        out.text(name, value);
    }
    out.finish()
}
