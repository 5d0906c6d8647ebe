//! Which header fields pass the handler, and which ones it sets: data, which the host carries out on the platform's own
//! `Headers`. Names are in lower case; one that ends in `*` stands for all that begin like it.
//!
//! An upstream gets what the browser sent, without the headers of [`crate::egress::request_headers`] and without those that
//! `Connection` names (RFC 9110 7.6.1). A route can allow or deny more names, and ranges are removed where the body of
//! the response is searched: a server may ignore them (RFC 9110 14.2).
//!
//! What comes from an upstream becomes an answer of the app's own origin. So it loses what would speak for that origin
//! (cookies, CORS, service workers, reporting, transport security), what tells caches in between to keep it in spite of
//! `no-store`, and what makes servers in between send a file or go elsewhere. And it is no document of the app's: it is
//! not sniffed, not framed, and a sandbox without scripts if somebody opens it. `X-Strongroom` marks errors of the handler's
//! own, so that a page can tell them from an upstream's.

use crate::prelude::*;

use crate::base::strings;
use crate::codec::json;
use crate::egress::request_headers;

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
/// [`Forward`](crate::edge::Forward) has what a route changes in that.
/// `challenges` are the schemes that `WWW-Authenticate` may name: another one is taken out. `set` replaces what was
/// there; `own` is for [answers of the handler's own](crate::edge::OwnResponse), where it does not replace what they have.
#[must_use]
pub fn policy() -> String {
    let request = json::Writer::object()
        .json("remove", &list(&request_headers::removed()))
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
    json::string_array(strings::split_list(names))
}

fn fields(fields: &[(&str, &str)]) -> String {
    let mut out = json::Writer::object();
    for (name, value) in fields {
        out.text(name, value);
    }
    out.finish()
}
