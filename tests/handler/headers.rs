//! Tests of the policy that tells a host which headers to forward.

use edge::policy;
use serde_json::{Value, json};

use crate::host::Host;
use crate::request_headers::{CREDENTIALS, FIXED, HANDLERS_OWN, TRUSTED, alternatives, is_matched};

fn read() -> Value {
    serde_json::from_str(&policy()).unwrap()
}

/// Returns true if a regular expression of the policy matches a name.
fn has(pattern: &Value, name: &str) -> bool {
    is_matched(pattern.as_str().unwrap(), name)
}

/// Asserts that each alternative of a regular expression matches one of these names, and that each name matches an
/// alternative. A test therefore fails if a name of the list is removed, added or widened.
fn assert_is_whole(pattern: &Value, names: &[&str]) {
    let alone: Vec<_> = alternatives(pattern.as_str().unwrap())
        .map(|one| ["^(?:", one, ")$"].concat())
        .collect();
    for name in names {
        let matching: Vec<_> = alone.iter().filter(|one| is_matched(one, name)).collect();
        // Each of these headers also matches a broader pattern.
        let twice = [
            "x-auth-request-user",
            "cache-control",
            "x-litespeed-cache-control",
        ];
        let count = 1 + usize::from(twice.contains(name));
        assert_eq!(matching.len(), count, "{name} matches {matching:?}");
    }
    for pattern in alone {
        let is_used = names.iter().any(|name| is_matched(&pattern, name));
        assert!(is_used, "no name for {pattern}");
    }
}

// claim: handler-30
#[test]
fn removes_auth_and_routing_headers_from_requests() {
    let names: Vec<&str> = [FIXED, TRUSTED, CREDENTIALS, HANDLERS_OWN].concat();
    assert_is_whole(&read()["request"], &names);
}

#[test]
fn useful_request_headers_are_forwarded() {
    let policy = read();
    for name in [
        "accept",
        "accept-language",
        "content-type",
        "content-language",
        "user-agent",
        "range",
        "if-range",
        "if-match",
        "if-none-match",
        "if-modified-since",
        "idempotency-key",
        "prefer",
        "priority",
        "traceparent",
        "tracestate",
        "x-request-id",
        "x-correlation-id",
        "x-csrf-token",
        "x-requested-with",
        "x-client-version",
        "x-hasura-role",
        "x-grafana-org-id",
        "x-goog-fieldmask",
        "x-ms-client-request-id",
        "x-amz-date",
        "apollo-require-preflight",
        "last-event-id",
        "cdn-loop",
        "save-data",
        "dnt",
    ] {
        assert!(!has(&policy["request"], name), "{name}");
    }
}

// claim: handler-5, handler-74
#[test]
fn removes_upstream_headers_that_affect_app_origin() {
    let names = [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "content-length",
        "content-encoding",
        "set-cookie",
        "set-cookie2",
        "clear-site-data",
        "access-control-allow-origin",
        "access-control-allow-credentials",
        "access-control-expose-headers",
        "timing-allow-origin",
        "service-worker-allowed",
        "dpop-nonce",
        "set-login",
        "secure-session-registration",
        "sec-session-id",
        "use-as-dictionary",
        "speculation-rules",
        "activate-storage-access",
        "x-lighttpd-send-file",
        "x-sendfile2",
        "x-reproxy-url",
        "x-litespeed-location",
        "alt-svc",
        "strict-transport-security",
        "public-key-pins",
        "public-key-pins-report-only",
        "expect-ct",
        "accept-ch",
        "critical-ch",
        "origin-agent-cluster",
        "nel",
        "report-to",
        "reporting-endpoints",
        "refresh",
        "x-frame-options",
        "content-security-policy-report-only",
        "expires",
        "pragma",
        "age",
        "surrogate-control",
        "edge-control",
        "akamai-edge-control",
        "edge-control-1",
        "cdn-cache-control",
        "cloudflare-cdn-cache-control",
        "vercel-cdn-cache-control",
        "netlify-cdn-cache-control",
        "x-litespeed-cache-control",
        "x-cache-control-x",
        "x-accel-redirect",
        "x-accel-expires",
        "x-sendfile",
        "x-middleware-rewrite",
        "x-strongroom",
        // The handler sets these headers itself.
        "cache-control",
        "vary",
        "x-content-type-options",
        "content-security-policy",
        "cross-origin-resource-policy",
        "referrer-policy",
    ];
    assert_is_whole(&read()["response"], &names);
}

#[test]
fn useful_response_headers_are_forwarded() {
    let policy = read();
    for name in [
        "content-type",
        "content-language",
        "content-disposition",
        "content-range",
        "accept-ranges",
        "etag",
        "last-modified",
        "location",
        "content-location",
        "link",
        "retry-after",
        "www-authenticate",
        "date",
        "allow",
        "x-request-id",
        "ratelimit-remaining",
        "x-accel-buffering",
        "server-timing",
        "deprecation",
        "sunset",
        "preference-applied",
    ] {
        assert!(!has(&policy["response"], name), "{name}");
    }
}

// claim: handler-5
#[test]
fn no_response_is_stored_sniffed_framed_or_run() {
    let policy = read();
    for fields in [&policy["passed"], &policy["own"]] {
        assert_eq!(fields["cache-control"], "no-store");
        assert_eq!(fields["vary"], "Cookie");
        assert_eq!(fields["x-content-type-options"], "nosniff");
        assert_eq!(fields["cross-origin-resource-policy"], "same-origin");
        assert_eq!(fields["referrer-policy"], "no-referrer");
        let policy = fields["content-security-policy"].as_str().unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    }
    let sandbox = policy["passed"]["content-security-policy"]
        .as_str()
        .unwrap();
    assert!(sandbox.starts_with("sandbox;"), "{sandbox}");
}

/// Script of the app could otherwise use a window with a response of the handler to reach other servers.
#[test]
fn own_responses_reach_no_other_origin() {
    let list = &read()["own"]["connection-allowlist"];
    assert_eq!(list, "(response-origin);redirects=allow");
}

#[test]
fn header_names_are_in_lower_case() {
    let policy = read();
    for pattern in [&policy["request"], &policy["response"]] {
        for name in alternatives(pattern.as_str().unwrap()) {
            let bare = name.replace("[^a-z0-9]", "").replace(".*", "");
            let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
            assert!(!bare.is_empty() && bare.bytes().all(is_plain), "{name}");
            assert!(name.matches(".*").count() <= 2, "{name}");
        }
    }
}

/// Returns the names that the handler adds to the policy's lists of kept and removed headers, for a request by this
/// route.
fn changes(route: &Value) -> (String, String) {
    let mut host = Host::with(&json!({ "routes": [route] }));
    host.sign_in();
    assert_eq!(host.call("GET", "/api/me").status(), 200);
    let sent = host.upstream.pop().unwrap();
    (sent.keep, sent.remove)
}

// claim: handler-30
#[test]
fn routes_can_allow_and_deny_headers() {
    let upstream = "https://api.example.com/";
    let (keep, remove) = changes(&json!({
        "prefix": "/api/",
        "upstream": upstream,
        "reflection": "headers",
        "allowHeaders": ["X-Api-Key", "X_Forwarded_For"],
        "denyHeaders": ["X-Trace"],
    }));
    assert_eq!(keep, "x-api-key x-forwarded-for");
    assert_eq!(remove, "x-trace");
}

// claim: handler-33
#[test]
fn removes_ranges_where_bodies_are_searched() {
    let route = |more: Value| {
        let mut route = json!({ "prefix": "/api/", "upstream": "https://api.example.com/" });
        let members = route.as_object_mut().unwrap();
        members.extend(more.as_object().unwrap().clone());
        route
    };
    let (_, remove) = changes(&route(json!({})));
    assert_eq!(remove, "range if-range request-range x-ms-range");
    let (_, remove) = changes(&route(json!({ "allowHeaders": ["Range"] })));
    assert_eq!(remove, "if-range request-range x-ms-range");
    for reflection in ["headers", "allow"] {
        let (_, remove) = changes(&route(json!({ "reflection": reflection })));
        assert_eq!(remove, "", "{reflection}");
    }
}
