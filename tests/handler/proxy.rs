//! Requests that the handler forwards to an upstream: their destination and headers, and the parts of the response that
//! reach the page.

use edge::{Config, Effect, Handler, Head, Reply, Request, Response, Step};
use rules::Code;
use rules::base::clock::Millis;
use rules::codec::url::Url;
use rules::egress::policy::{MAX_HEADER_BYTES, MAX_HEADERS, MAX_URL};
use serde_json::{Value, json};

use crate::browser::Source;
use crate::host::{APP, Answered, Host, configuration, header, location};

pub(crate) fn head(status: u16) -> Head {
    Head {
        status,
        ..Head::default()
    }
}

// claim: handler-30
#[test]
fn token_replaces_the_cookie() {
    let mut host = Host::signed_in();
    let answered = host.call("GET", "/api/orders?id=1");
    assert!(matches!(answered, Answered::Passed { .. }));
    let [sent] = &host.upstream[..] else {
        panic!("not one request");
    };
    assert_eq!(sent.url, "https://api.example.com/v1/orders?id=1");
    let token = host.provider.newest_access_token();
    assert_eq!(sent.authorization, format!("Bearer {token}"));
    assert_eq!(sent.proof, None);
}

#[test]
fn path_after_prefix_is_appended_to_upstream() {
    for (path, url) in [
        ("/api/", "https://api.example.com/v1/"),
        ("/api/a/b", "https://api.example.com/v1/a/b"),
        (
            "/api/a?b=c&d=/e?f#g",
            "https://api.example.com/v1/a?b=c&d=/e?f",
        ),
        ("/api/?", "https://api.example.com/v1/?"),
        (
            "/api/?u=https://evil.test/",
            "https://api.example.com/v1/?u=https://evil.test/",
        ),
        (
            "/api/a%20b/%C3%BC",
            "https://api.example.com/v1/a%20b/%C3%BC",
        ),
        ("/api/ü", "https://api.example.com/v1/%C3%BC"),
        ("/api/a:b@c", "https://api.example.com/v1/a:b@c"),
        ("/api/@evil.test/", "https://api.example.com/v1/@evil.test/"),
        ("/api//evil.test/", "https://api.example.com/v1//evil.test/"),
        (
            "/api/https://evil.test/",
            "https://api.example.com/v1/https://evil.test/",
        ),
        ("/api/a/", "https://api.example.com/v1/a/"),
        ("/api/./a", "https://api.example.com/v1/a"),
        ("/api/a/../b", "https://api.example.com/v1/b"),
        ("/api/files/a", "https://files.example.com/a"),
        ("/api/filesx", "https://api.example.com/v1/filesx"),
        ("/x/../api/a", "https://api.example.com/v1/a"),
    ] {
        let mut host = Host::signed_in();
        assert_eq!(host.call("GET", path).status(), 200, "{path}");
        assert_eq!(host.upstream[0].url, url, "{path}");
    }
}

// claim: handler-29
#[test]
fn paths_cannot_leave_the_upstream() {
    let within = Url::parse("https://api.example.com/v1/").unwrap();
    let files = Url::parse("https://files.example.com/").unwrap();
    for path in [
        "/api/..%2fadmin",
        "/api/%2e%2e%2fadmin",
        "/api/a/%2e%2e/%2e%2e/admin",
        "/api/../../admin",
        "/api/..;/admin",
        "/api/..;a=b/admin",
        "/api/..%3b/admin",
        "/api/..%3Ba=b/admin",
        "/api/..%253b/admin",
        "/api/..%25253B/admin",
        "/api/%252e%252e/admin",
        "/api/%252e%252e%252fadmin",
        "/api/%25%32%65/admin",
        "/api/..%5cadmin",
        "/api/..\\admin",
        "/api\\..\\admin",
        "/api/%5c%5cevil.test/",
        "/api/\\evil.test/",
        "/api/a%00b",
        "/api/a%0d%0aHost:%20evil.test",
        "/api/a\r\nHost: evil.test",
        "/api/a%7f",
        "/api/%",
        "/api/%2",
        "/api/%zz",
        "/api/..%c0%af",
        "/api/%2f%2fevil.test",
        "/api/.%2e/admin",
        "/api/files/..%2f..%2fadmin",
        "/api/files/../../admin",
        "/api",
        "/apix/a",
        "/API/a",
        "/%61pi/a",
        "/api%2fa",
        "//api/a",
        "//evil.test/api/a",
        "/;/api/a",
        "/auth/../auth/",
        "https://app.example.com@evil.test/api/a",
        "https://u:p@app.example.com/api/a",
        "https://app.example.com:443/api/a",
    ] {
        let mut host = Host::signed_in();
        let answered = host.call("GET", path);
        for sent in &host.upstream {
            let url = Url::parse(&sent.url).unwrap();
            let base = if url.is_same_origin(&files) {
                &files
            } else {
                &within
            };
            assert!(url.is_same_origin(base), "{path} leads to {}", sent.url);
            assert!(
                url.path().starts_with(base.path()),
                "{path} leads to {}",
                sent.url
            );
            let plain = sent.url.to_ascii_lowercase();
            for sign in ["%2e", "%2f", "%5c", "%00", "%0d", "%0a", "%25", "..", "\\"] {
                assert!(!plain.contains(sign), "{path} leads to {}", sent.url);
            }
        }
        assert!(
            matches!(answered.status(), 0 | 200 | 400 | 401 | 403 | 404),
            "{path}: {answered:?}"
        );
    }
}

#[test]
fn refused_requests_have_reason_and_no_token() {
    for (method, path, status, code) in [
        ("GET", "/api/..%2fadmin", 404, "url_not_allowed"),
        ("GET", "/api/a%00", 404, "url_not_allowed"),
        ("PUT", "/api/a", 405, "method_not_allowed"),
        ("HEAD", "/api/a", 405, "method_not_allowed"),
        ("OPTIONS", "/api/a", 405, "method_not_allowed"),
        ("TRACE", "/api/a", 405, "method_not_allowed"),
        ("CONNECT", "/api/a", 405, "method_not_allowed"),
        ("post ", "/api/a", 405, "method_not_allowed"),
        ("POST", "/api/files/a", 405, "method_not_allowed"),
        ("PATCH", "/api/a", 405, "method_not_allowed"),
    ] {
        let mut host = Host::signed_in();
        let answered = host.call(method, path);
        assert_eq!(
            (answered.status(), &*answered.code()),
            (status, code),
            "{method} {path}"
        );
        assert!(host.upstream.is_empty());
        if status == 405 {
            let allow = header(&answered.own(), "allow").unwrap().to_owned();
            let own = if path.contains("files") {
                "GET"
            } else {
                "GET, POST, DELETE"
            };
            assert_eq!(allow, own);
        }
    }
}

#[test]
fn overlong_requests_are_refused() {
    let longest = MAX_URL - "https://api.example.com/v1/".len();
    for (length, status) in [(longest, 200), (longest + 1, 414)] {
        let mut host = Host::signed_in();
        let path = ["/api/", &"a".repeat(length)].concat();
        assert_eq!(host.call("GET", &path).status(), status, "{length}");
    }
    for (fields, bytes, status) in [
        (MAX_HEADERS, MAX_HEADER_BYTES, 200),
        (MAX_HEADERS + 1, 1, 431),
        (1, MAX_HEADER_BYTES + 1, 431),
    ] {
        let mut host = Host::signed_in();
        let mut request = host.by_script("GET", "/api/a");
        (request.header_count, request.header_bytes) = (fields, bytes);
        let answered = host.request(request);
        assert_eq!(answered.status(), status, "{fields} {bytes}");
        assert_eq!(host.upstream.len(), usize::from(status == 200));
    }
}

#[test]
fn unrouted_paths_belong_to_the_app() {
    let mut host = Host::signed_in();
    for path in [
        "/",
        "/index.html",
        "/api",
        "/authx/login",
        "/auth",
        "/x?y=/api/",
    ] {
        assert!(
            matches!(host.call("GET", path), Answered::NotOurs),
            "{path}"
        );
        assert!(
            matches!(host.go(path, Source::CrossSite), Answered::NotOurs),
            "{path}"
        );
    }
    for path in [
        "/auth/",
        "/auth/other",
        "/auth/login//",
        "/auth//login",
        "/auth/Login",
        "/auth/token",
    ] {
        assert_eq!(host.call("GET", path).own().status, 404, "{path}");
    }
    assert_eq!(host.call("GET", "/api/").status(), 200);
}

#[test]
fn endpoint_may_have_a_slash_at_its_end() {
    let mut host = Host::new();
    let back = host.come_back("/auth/login/?returnTo=/auth/callback/");
    let arrived = host.come_in(&back.replace("/callback?", "/callback/?"));
    assert_eq!(location(&arrived), "/");
    assert_eq!(host.call("GET", "/auth/session/").status(), 200);
    assert_eq!(host.call("GET", "/auth/config/").status(), 200);
    assert_eq!(host.call("POST", "/auth/logout/").status(), 200);
    assert_eq!(host.session(), Value::Null);
}

// claim: handler-29
#[test]
fn provider_upstream_gets_no_token_at_own_endpoints() {
    for discovered in [true, false] {
        let mut changes = json!({ "routes": [{ "prefix": "/op/", "upstream": "https://id.example.com/", "methods": ["GET", "POST"] }] });
        if !discovered {
            changes["metadata"] = json!({
                "issuer": "https://id.example.com",
                "authorization_endpoint": "https://id.example.com/authorize",
                "token_endpoint": "https://id.example.com/token",
                "revocation_endpoint": "https://id.example.com/revoke",
                "jwks_uri": "https://id.example.com/jwks",
                "id_token_signing_alg_values_supported": ["ES256"],
            });
        }
        let mut host = Host::signed_in_with(&changes);
        // The new isolate has not contacted the provider yet.
        host.restart(&json!({}));
        for path in [
            "/op/token",
            "/op/Token/",
            "/op//token",
            "/op/%74oken",
            "/op/token;a",
            "/op/revoke",
            "/op/.;/revoke",
            "/op/.;a=b/revoke",
            "/op/;a/revoke",
            "/op/%2572evoke",
            "/op/revoke.",
            "/op/revoke::$DATA",
            "/op/revoke.json",
            "/op/revoke%3Fa",
            "/op/jwks?x",
        ] {
            assert_eq!(host.call("POST", path).status(), 404, "{path} {discovered}");
        }
        assert!(host.upstream.is_empty());
        assert_eq!(host.call("GET", "/op/api/me").status(), 200);
    }
}

// claim: handler-29
#[test]
fn narrower_route_decides_in_any_spelling() {
    let routes = json!([
        { "prefix": "/api/", "upstream": "https://api.example.com/v1/", "methods": ["GET", "POST"] },
        { "prefix": "/api/admin/", "upstream": "https://api.example.com/v1/admin/" },
    ]);
    let mut host = Host::signed_in_with(&json!({ "routes": routes }));
    assert_eq!(host.call("GET", "/api/admin/users").status(), 200);
    assert_eq!(host.call("POST", "/api/admin/users").status(), 405);
    host.upstream.clear();
    for path in [
        "/api/%61dmin/users",
        "/api/%2561dmin/users",
        "/api/Admin/users",
        "/api//admin/users",
        "/api/admin;a=b/users",
        "/api/admin./users",
        "/api/admin%20/users",
        "/api/;a/admin/users",
        "/api/%61dmin/",
    ] {
        for method in ["GET", "POST"] {
            // A spelling is logged at most once a minute.
            host.pass(60);
            assert_eq!(host.call(method, path).status(), 404, "{path}");
            assert_eq!(host.faults().pop(), Some(Code::UrlNotAllowed), "{path}");
        }
    }
    assert!(host.upstream.is_empty());
    // The collection itself is a path of the wider route.
    for path in ["/api/admin", "/api/administrators", "/api/users/admin/x"] {
        assert_eq!(host.call("POST", path).status(), 200, "{path}");
    }
}

#[test]
fn names_with_a_percent_sign_reach_the_upstream() {
    let mut host = Host::signed_in();
    assert_eq!(host.call("GET", "/api/100%25%20off").status(), 200);
    assert_eq!(
        host.upstream[0].url,
        "https://api.example.com/v1/100%25%20off"
    );
}

// claim: handler-29
#[test]
fn upstream_gets_no_token_at_known_provider_endpoints() {
    let mut host = Host::with(&json!({
        "routes": [{ "prefix": "/op/", "upstream": "https://oauth.example.net/", "methods": ["GET", "POST"] }],
    }));
    host.provider.more_metadata =
        r#","device_authorization_endpoint":"https://oauth.example.net/device""#.to_owned();
    host.sign_in();
    assert_eq!(host.call("POST", "/op/device").status(), 404);
    assert!(host.upstream.is_empty());
    assert_eq!(host.call("GET", "/op/api/me").status(), 200);
}

#[test]
fn script_without_a_session_gets_401() {
    for cookie in [
        None,
        Some("a=b".to_owned()),
        Some("__Host-strongroom=x".to_owned()),
    ] {
        let mut host = Host::new();
        let mut request = host.by_script("GET", "/api/orders");
        request.cookie = cookie;
        let answered = host.request(request);
        assert_eq!(
            (answered.status(), &*answered.code()),
            (401, "login_required")
        );
        assert!(host.upstream.is_empty());
    }
}

// claim: handler-32
#[test]
fn upstream_redirect_is_blocked() {
    for status in [300, 301, 302, 303, 305, 307, 308, 399] {
        let mut host = Host::signed_in();
        host.heads.push_back(head(status));
        let answered = host.call("GET", "/api/orders");
        assert_eq!(
            (answered.status(), &*answered.code()),
            (502, "redirect_blocked"),
            "{status}"
        );
        assert_eq!(host.upstream.len(), 1);
    }
    for status in [200, 204, 206, 304, 400, 403, 404, 409, 429, 500, 503] {
        let mut host = Host::signed_in();
        host.heads.push_back(head(status));
        let answered = host.call("GET", "/api/orders");
        assert!(matches!(answered, Answered::Passed { .. }), "{status}");
        assert_eq!(answered.status(), status);
    }
}

#[test]
fn log_says_where_a_redirect_of_the_upstream_leads() {
    for (location, expected) in [
        (
            Some("https://sign-in.internal/?state=s#x"),
            "to 'https://sign-in.internal/'",
        ),
        (Some("orders/?page=2"), "/orders/'"),
        (Some("data:x"), "to no URL"),
        (None, "to no URL, or to one that this platform hides"),
    ] {
        let mut host = Host::signed_in();
        host.heads.push_back(Head {
            location: location.map(str::to_owned),
            ..head(302)
        });
        let answered = host.call("GET", "/api/orders?secret=1").own();
        let (_, body) = answered.body.unwrap();
        assert!(!body.contains("sign-in"), "{body}");
        let messages = host.fault_messages();
        let begin = "GET https://api.example.com/v1/orders: the response is a redirect";
        assert!(messages[0].starts_with(begin), "{messages:?}");
        assert!(messages[0].ends_with(expected), "{messages:?}");
    }
}

#[test]
fn status_that_no_response_can_have_is_bad_gateway() {
    for status in [600, 700, 999] {
        let mut host = Host::signed_in();
        host.heads.push_back(head(status));
        let answered = host.call("GET", "/api/orders");
        assert_eq!(
            (answered.status(), &*answered.code()),
            (502, "upstream_unavailable"),
            "{status}"
        );
        assert_eq!(host.faults(), [Code::UpstreamUnavailable], "{status}");
    }
}

#[test]
fn response_of_one_upstream_does_not_hide_that_of_another() {
    let routes = json!([
        { "prefix": "/api/", "upstream": "https://api.example.com/v1/" },
        { "prefix": "/other/", "upstream": "https://other.example.com/" },
    ]);
    for status in [302, 600] {
        let mut host = Host::signed_in_with(&json!({ "routes": routes }));
        for path in ["/api/a", "/api/b", "/other/a", "/api/c", "/other/b"] {
            host.heads.push_back(head(status));
            assert_eq!(host.call("GET", path).status(), 502);
        }
        let messages = host.fault_messages();
        let [first, second] = &messages[..] else {
            panic!("{messages:?}");
        };
        assert!(first.contains("https://api.example.com/v1/"), "{first}");
        assert!(second.contains("https://other.example.com/"), "{second}");
    }
}

#[test]
fn undecoded_response_is_refused_where_it_must_be_searched() {
    for (reflection, coding, status) in [
        ("refuse", None, 200),
        ("refuse", Some("zstd"), 502),
        ("headers", Some("zstd"), 200),
        ("allow", Some("zstd"), 200),
    ] {
        let mut host = Host::with(&json!({ "routes": [{
            "prefix": "/api/", "upstream": "https://api.example.com/v1/", "reflection": reflection,
        }] }));
        host.sign_in();
        host.pass(60);
        host.heads.push_back(head(401));
        let undecoded = coding.map(str::to_owned);
        host.heads.push_back(Head {
            undecoded,
            ..head(200)
        });
        let answered = host.call("GET", "/api/orders");
        assert_eq!(answered.status(), status, "{reflection}");
        // The response has the cookie of the session, which was renewed.
        assert_eq!(answered.cookies().len(), 1, "{reflection}");
        let named = host
            .fault_messages()
            .iter()
            .any(|line| line.ends_with(": 'zstd'"));
        assert_eq!(named, status == 502, "{reflection}");
    }
}

#[test]
fn coding_that_contains_a_token_is_not_logged() {
    let mut host = Host::signed_in();
    assert_eq!(host.call("GET", "/api/orders").status(), 200);
    let undecoded = Some(host.upstream[0].authorization.replace("Bearer ", "gzip, "));
    host.heads.push_back(Head {
        undecoded,
        ..head(200)
    });
    assert_eq!(host.call("GET", "/api/orders").status(), 502);
    let messages = host.fault_messages();
    assert!(
        messages[0].ends_with("searched for the token"),
        "{messages:?}"
    );
}

#[test]
fn silent_upstream_is_bad_gateway() {
    let mut host = Host::signed_in();
    host.failing = vec!["Forward"];
    let answered = host.call("GET", "/api/orders");
    assert_eq!(
        (answered.status(), &*answered.code()),
        (502, "upstream_unavailable")
    );
    assert_eq!(host.faults(), [Code::UpstreamUnavailable]);
    assert!(host.session().is_object());
}

#[test]
fn refused_token_is_renewed_and_request_retried_once() {
    let mut host = Host::signed_in();
    host.pass(60);
    host.heads.extend([head(401), head(200)]);
    assert_eq!(host.call("GET", "/api/orders").status(), 200);
    assert_eq!(host.provider.sent_to("/token").len(), 2);
    // The browser received the cookie with the new token, so the next request needs no refresh.
    assert_eq!(host.call("GET", "/api/orders").status(), 200);
    let [first, second, third] = &host.upstream[..] else {
        panic!("not three requests");
    };
    assert_ne!(first.authorization, second.authorization);
    assert_eq!(second.authorization, third.authorization);
}

#[test]
fn request_whose_body_was_empty_is_sent_again() {
    for (had_no_body, status) in [(true, 200), (false, 401)] {
        let mut host = Host::signed_in();
        host.pass(60);
        let refused = Head {
            had_no_body,
            ..head(401)
        };
        host.heads.extend([refused, head(200)]);
        // Its body is of unknown length.
        let request = Request {
            has_body: true,
            ..host.by_script("GET", "/api/orders")
        };
        assert_eq!(host.request(request).status(), status);
    }
}

/// A handler on loopback says once why an upstream refuses new tokens.
#[test]
fn refusal_of_a_new_token_is_logged_on_loopback() {
    let refusal = |description: &str| Head {
        status: 401,
        challenge: Some(format!(
            r#"Bearer error="invalid_token", error_description="{description}""#
        )),
        ..Head::default()
    };
    for (app, is_logged) in [("http://localhost:3000", true), (APP, false)] {
        let mut host = Host::new();
        let back = host.come_back(&[app, "/auth/login"].concat());
        host.arrive(&back);
        let request = |host: &Host| host.by_script("GET", &[app, "/api/orders"].concat());
        for _ in 0..2 {
            host.heads.push_back(refusal("The audience is invalid"));
            let request = request(&host);
            assert_eq!(host.request(request).status(), 401);
        }
        let expected = "https://api.example.com/v1/ responded with 401 to an access token that was issued a moment ago: invalid_token \"The audience is invalid\"";
        let logged = if is_logged { &[expected][..] } else { &[] };
        assert_eq!(host.fault_messages(), logged);
        assert_eq!(host.faults().len(), logged.len());
        host.pass(120);
        let token = host.upstream[0].authorization.replace("Bearer ", "");
        host.heads.extend([refusal(&token), refusal(&token)]);
        let request = request(&host);
        assert_eq!(host.request(request).status(), 401);
        let messages = host.fault_messages();
        assert_eq!(messages.len(), logged.len());
        assert!(
            messages
                .iter()
                .all(|m| m.contains("moment ago") && !m.contains("invalid_token"))
        );
    }
}

#[test]
fn second_refusal_reaches_the_page() {
    let mut host = Host::signed_in();
    host.pass(60);
    host.heads.extend([head(401), head(401), head(200)]);
    assert_eq!(host.call("GET", "/api/orders").status(), 401);
    assert_eq!(
        (host.upstream.len(), host.provider.sent_to("/token").len()),
        (2, 2)
    );
    // The upstream rejects the next request too, but the access token is too new to be refreshed again.
    host.heads.clear();
    host.heads.push_back(head(401));
    assert_eq!(host.call("GET", "/api/orders").status(), 401);
    assert_eq!(
        (host.upstream.len(), host.provider.sent_to("/token").len()),
        (3, 2)
    );
    assert!(host.session().is_object());
}

#[test]
fn only_bearer_and_dpop_challenges_are_forwarded() {
    for (challenge, is_kept) in [
        (None, false),
        (Some("Bearer"), true),
        (
            Some(r#"bearer realm="a, Basic b", DPoP algs="ES256""#),
            true,
        ),
        (Some(r#"Basic realm="x""#), false),
        (Some(r#"Bearer error="invalid_token", Negotiate"#), false),
        (Some("NTLM, Bearer"), false),
        // These headers break the grammar, and browsers may still read a scheme from them.
        (Some(r#"Bearer realm="x" Basic"#), false),
        (Some(r#"Bearer realm="x"#), false),
    ] {
        let mut host = Host::signed_in();
        host.heads.push_back(Head {
            status: 401,
            challenge: challenge.map(str::to_owned),
            ..Head::default()
        });
        let answered = host.call("GET", "/api/orders");
        let Answered::Passed {
            keeps_challenge, ..
        } = answered
        else {
            panic!("not forwarded: {challenge:?}");
        };
        assert_eq!(keeps_challenge, is_kept, "{challenge:?}");
    }
}

#[test]
fn step_up_demand_reaches_page() {
    // The handler forwards this header (RFC 9470) to the page without a refresh, because another token would not help.
    let mut host = Host::signed_in();
    host.pass(60);
    let demand = Head {
        status: 401,
        challenge: Some(
            r#"Bearer error="insufficient_user_authentication", acr_values="mfa""#.to_owned(),
        ),
        ..Head::default()
    };
    host.heads.push_back(demand.clone());
    let Answered::Passed { head, .. } = host.call("GET", "/api/orders") else {
        panic!("not passed on");
    };
    assert_eq!(head.challenge, demand.challenge);
    assert_eq!(
        (host.upstream.len(), host.provider.sent_to("/token").len()),
        (1, 1)
    );
}

#[test]
fn abandoned_request_does_not_affect_others() {
    let mut host = Host::signed_in();
    let request = host.by_script("GET", "/api/orders");
    let (id, step) = host.handler.begin(host.now, request.clone());
    assert!(matches!(step, Step::Do(Effect::Open { .. })));
    host.handler.abandon(id);
    // A reply to the abandoned request is rejected and has no effect.
    let step = host.handler.resume(host.now, id, Reply::Opened(None));
    assert!(matches!(step, Step::Done(Response::Own(response)) if response.status == 500));
    assert_eq!(host.request(request).status(), 200);
}

// claim: handler-36
#[test]
fn mismatched_host_reply_fails_cleanly() {
    let config = Config::parse(&configuration(&json!({})).to_string()).unwrap();
    let mut handler = Handler::new(config, Box::new(kit::dice::Dice::new(3)));
    let host = Host::signed_in();
    let request = host.by_script("GET", "/api/orders");
    let (id, mut step) = handler.begin(host.now, request);
    for _ in 0..100 {
        match step {
            Step::Do(_) => step = handler.resume(host.now, id, Reply::Verified(true)),
            Step::Done(answer) => {
                assert!(matches!(answer, Response::Own(response) if response.status == 401));
                return;
            }
        }
    }
    panic!("it never ends");
}

#[test]
fn late_response_brings_no_cookie_for_activity() {
    for (latency, count) in [(1, 1), (20, 1), (21, 0)] {
        let mut host = Host::signed_in();
        host.pass(60);
        host.upstream_latency = latency;
        let answered = host.call("GET", "/api/orders");
        assert_eq!(answered.status(), 200);
        assert_eq!(answered.cookies().len(), count, "{latency} s");
    }
}

#[test]
fn refused_token_is_not_sent_twice() {
    let mut host = Host::signed_in();
    host.pass(60);
    host.heads.push_back(head(401));
    // The handler cannot refresh the session, because the coordinator fails.
    host.failing = vec!["Read", "Swap"];
    assert_eq!(host.call("GET", "/api/orders").status(), 401);
    assert_eq!(
        (host.upstream.len(), host.provider.sent_to("/token").len()),
        (1, 1)
    );
}

#[test]
fn request_given_up_during_a_refresh_ends_with_it() {
    let mut host = Host::signed_in();
    host.pass(600);
    let request = host.by_script("GET", "/api/orders");
    host.give_up_during("Sleep", request);
    // The handler finished the refresh and stored the new tokens, but did not call the API.
    assert!(host.upstream.is_empty());
    host.pass(2);
    assert_eq!(host.call("GET", "/api/orders").status(), 200);
    assert_eq!(host.provider.sent_to("/token").len(), 2);
}

#[test]
fn upstream_has_the_time_of_its_route() {
    for (timeout, seconds) in [(None, 60), (Some(1), 1), (Some(3600), 3600)] {
        let mut route = json!({ "prefix": "/api/", "upstream": "https://api.example.com/v1/" });
        if let Some(timeout) = timeout {
            route["timeout"] = json!(timeout);
        }
        let mut host = Host::signed_in_with(&json!({ "routes": [route] }));
        host.call("GET", "/api/orders");
        assert_eq!(host.upstream[0].timeout, Millis::from_secs(seconds));
    }
}
