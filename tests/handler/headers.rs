//! Which header fields pass: the policy, as a host carries it out.

use serde_json::Value;
use strongroom::edge::policy;

fn read() -> Value {
    serde_json::from_str(&policy()).unwrap()
}

/// Whether a list of the policy's has a name, by what [`policy`] says of `*`.
fn has(list: &Value, name: &str) -> bool {
    list.as_array().unwrap().iter().any(|pattern| {
        let pattern = pattern.as_str().unwrap();
        match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
            (Some(end), _) => name.ends_with(end),
            (_, Some(beginning)) => name.starts_with(beginning),
            _ => name == pattern,
        }
    })
}

#[test]
fn what_authorises_routes_or_overrides_does_not_reach_an_upstream() {
    let policy = read();
    for name in [
        "connection",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
        "content-length",
        "expect",
        "host",
        "cookie",
        "cookie2",
        "authorization",
        "dpop",
        "x-strongroom",
        "x-auth-token",
        "forwarded",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-user",
        "x-forwarded-prefix",
        "x-real-ip",
        "x-client-ip",
        "true-client-ip",
        "client-cert",
        "client-cert-chain",
        "x-ssl-client-verify",
        "ssl-client-cert",
        "remote-user",
        "x-remote-user",
        "cf-connecting-ip",
        "cf-access-jwt-assertion",
        "x-amzn-oidc-data",
        "x-goog-iap-jwt-assertion",
        "x-goog-authenticated-user-email",
        "x-ms-client-principal",
        "x-vercel-ip-country",
        "fly-client-ip",
        "fastly-client-ip",
        "x-envoy-original-path",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-host",
        "x-original-url",
        "x-rewrite-url",
        "x-middleware-subrequest",
        "sec-fetch-site",
        "sec-websocket-key",
        "sec-ch-ua",
        "service-worker",
        "origin",
        "referer",
        "accept-encoding",
    ] {
        assert!(has(&policy["request"]["remove"], name), "{name}");
    }
}

#[test]
fn what_an_api_may_want_reaches_it() {
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
        "x-api-key",
        "x-client-version",
        "x-goog-fieldmask",
        "x-ms-client-request-id",
        "x-amz-date",
        "apollo-require-preflight",
        "last-event-id",
        "cdn-loop",
        "save-data",
        "dnt",
    ] {
        assert!(!has(&policy["request"]["remove"], name), "{name}");
    }
}

#[test]
fn what_speaks_for_the_apps_origin_does_not_come_from_an_upstream() {
    let policy = read();
    for name in [
        "set-cookie",
        "set-cookie2",
        "clear-site-data",
        "access-control-allow-origin",
        "access-control-allow-credentials",
        "access-control-expose-headers",
        "timing-allow-origin",
        "service-worker-allowed",
        "alt-svc",
        "strict-transport-security",
        "public-key-pins",
        "accept-ch",
        "nel",
        "report-to",
        "reporting-endpoints",
        "refresh",
        "connection",
        "keep-alive",
        "transfer-encoding",
        "upgrade",
        "trailer",
        "proxy-authenticate",
        "content-length",
        "content-encoding",
        "dpop-nonce",
        "expires",
        "age",
        "cdn-cache-control",
        "cloudflare-cdn-cache-control",
        "vercel-cdn-cache-control",
        "netlify-cdn-cache-control",
        "surrogate-control",
        "x-accel-redirect",
        "x-accel-expires",
        "x-sendfile",
        "x-middleware-rewrite",
        "origin-agent-cluster",
        "x-frame-options",
        "content-security-policy-report-only",
    ] {
        assert!(has(&policy["response"]["remove"], name), "{name}");
    }
}

#[test]
fn what_an_app_may_want_comes_through() {
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
        assert!(!has(&policy["response"]["remove"], name), "{name}");
    }
    assert_eq!(
        policy["response"]["challenges"],
        serde_json::json!(["bearer", "dpop"])
    );
}

#[test]
fn no_answer_is_stored_sniffed_framed_or_run() {
    let policy = read();
    for fields in [&policy["response"]["set"], &policy["own"]] {
        assert_eq!(fields["cache-control"], "no-store");
        assert_eq!(fields["vary"], "Cookie");
        assert_eq!(fields["x-content-type-options"], "nosniff");
        assert_eq!(fields["cross-origin-resource-policy"], "same-origin");
        assert_eq!(fields["referrer-policy"], "no-referrer");
        let policy = fields["content-security-policy"].as_str().unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    }
    let sandbox = policy["response"]["set"]["content-security-policy"]
        .as_str()
        .unwrap();
    assert!(sandbox.starts_with("sandbox;"), "{sandbox}");
}

#[test]
fn names_are_written_as_platforms_compare_them() {
    let policy = read();
    let lists = [&policy["request"]["remove"], &policy["response"]["remove"]];
    for name in lists.into_iter().flat_map(|list| list.as_array().unwrap()) {
        let name = name.as_str().unwrap();
        let bare = name.trim_matches('*');
        assert!(name.len() - bare.len() <= 1, "{name}");
        let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        assert!(!bare.is_empty() && bare.bytes().all(is_plain), "{name}");
    }
}
