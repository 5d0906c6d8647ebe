//! Request headers that the list in `src/rules/egress/request_headers.rs` must cover. The headers here were listed
//! independently of that file.

/// Headers that `allowHeaders` cannot allow.
pub const FIXED: &[&str] = &[
    "authorization",
    "dpop",
    "cookie",
    "cookie2",
    "proxy-authorization",
    "proxy-connection",
    "host",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "secure-session-response",
    "secure-session-skipped",
    "content-length",
    "expect",
    "sec-fetch-site",
    "sec-websocket-key",
    "sec-ch-ua",
    "strongroom-escrow",
];

/// Headers with which a sender can pretend to be another client, reach another address, or use another method.
pub const TRUSTED: &[&str] = &[
    "forwarded",
    "via",
    "origin",
    "referer",
    "x-forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-user",
    "x-forwarded-client-cert",
    "x-forward-for",
    "x-real-ip",
    "x-client-ip",
    "client-ip",
    "true-client-ip",
    "x-cluster-client-ip",
    "x-originating-ip",
    "x-scheme",
    "x-host",
    "x-http-method",
    "x-http-method-override",
    "x-http-host-override",
    "x-method-override",
    "x-original-url",
    "x-original-host",
    "x-rewrite-url",
    "x-middleware-subrequest",
    "service-worker",
    "service-worker-navigation-preload",
    "remote-user",
    "x-remote-user",
    "x-webauth-user",
    "x-proxy-user",
    "x-userinfo",
    "x-id-token",
    "x-jwt-assertion",
    "x-endpoint-api-userinfo",
    "x-apigateway-api-userinfo",
    "x-auth-request-user",
    "x-authenticated-userid",
    "x-consumer-username",
    "x-credential-identifier",
    "x-pomerium-jwt-assertion",
    "x-authentik-username",
    "x-grafana-user",
    "x-ms-token-aad-id-token",
    "x-ms-client-principal",
    "x-ms-client-principal-name",
    "impersonate-user",
    "oidc-claim-sub",
    "tailscale-user-login",
    "client-cert",
    "client-cert-chain",
    "x-client-cert",
    "x-client-dn",
    "x-client-verify",
    "ssl-client-cert",
    "x-ssl-client-verify",
    "cf-connecting-ip",
    "cf-access-jwt-assertion",
    "cloudfront-viewer-address",
    "fastly-client-ip",
    "fly-client-ip",
    "x-amzn-oidc-data",
    "x-appengine-user-email",
    "x-arr-clientcert",
    "x-azure-clientip",
    "x-envoy-original-path",
    "x-goog-authenticated-user-email",
    "x-goog-iap-jwt-assertion",
    "x-nf-client-connection-ip",
    "x-vercel-ip-country",
    "sm-user",
    "iv-user",
    "oam-remote-user",
    "shib-identity-provider",
    "x-accel-mapping",
    "x-sendfile-type",
];

/// Headers that contain credentials. A page may send these headers to an API, but the token handler removes them.
pub const CREDENTIALS: &[&str] = &[
    "x-auth-token",
    "x-authorization",
    "x-access-token",
    "x-api-key",
    "x-apikey",
    "x-api-token",
    "api-key",
    "apikey",
    "private-token",
    "x-vault-token",
    "x-hasura-admin-secret",
    "x-goog-api-key",
    "x-functions-key",
    "ocp-apim-subscription-key",
    "x-amz-security-token",
];

/// Returns true if a regular expression matches a name. The expression consists of alternatives in `^(?:` and `)$`. An
/// alternative consists of letters and digits, `[^a-z0-9]` and `.*`.
pub fn is_matched(pattern: &str, name: &str) -> bool {
    alternatives(pattern).any(|one| is_whole(one, name.as_bytes()))
}

/// Returns the alternatives of a regular expression.
pub fn alternatives(pattern: &str) -> impl Iterator<Item = &str> {
    let pattern = pattern.strip_prefix("^(?:").unwrap();
    pattern.strip_suffix(")$").unwrap().split('|')
}

fn is_whole(alternative: &str, name: &[u8]) -> bool {
    if let Some(rest) = alternative.strip_prefix(".*") {
        return (0..=name.len()).any(|at| is_whole(rest, &name[at..]));
    }
    let Some((byte, rest)) = name.split_first() else {
        return alternative.is_empty();
    };
    if let Some(after) = alternative.strip_prefix("[^a-z0-9]") {
        return !byte.is_ascii_lowercase() && !byte.is_ascii_digit() && is_whole(after, rest);
    }
    let Some(first) = alternative.as_bytes().first() else {
        return false;
    };
    assert!(first.is_ascii_alphanumeric(), "{alternative}");
    first == byte && is_whole(&alternative[1..], rest)
}
