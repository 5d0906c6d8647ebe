//! The operator learns from the log why a session ended, once and without a flood of lines.

use edge::{Broken, Event, Fault, Request};
use rules::Code;
use rules::codec::base64url;
use rules::session::EndReason;
use serde_json::json;

use crate::browser::Source;
use crate::host::{APP, COOKIE, Host, json_of};
use crate::provider;

/// Returns the lines of the log since the last call.
fn lines(host: &mut Host) -> Vec<String> {
    let events = host.events.drain(..);
    let faults = events.filter_map(|event| match event {
        Event::Fault(Fault { error, .. }) => Some(error.to_string()),
        _ => None,
    });
    faults.collect()
}

#[test]
fn failure_before_an_end_is_logged() {
    let unusable = [
        (
            provider::json(200, r#"{"access_to"#),
            "the text ends inside a string",
        ),
        (provider::json(200, "{}"), "access_token is missing"),
        (provider::json(400, "{}"), "without a usable error code"),
    ];
    for (reply, named) in unusable {
        let mut host = Host::signed_in();
        host.pass(600);
        host.provider.replies.push_back(("/token", Some(reply)));
        let refused = provider::json(400, r#"{"error":"invalid_grant"}"#);
        host.provider.replies.push_back(("/token", Some(refused)));
        assert_eq!(host.call("GET", "/api/orders").code(), "session_ended");
        let [line] = &lines(&mut host)[..] else {
            panic!("not one line");
        };
        assert!(
            line.contains("the provider refused a repeated refresh"),
            "{line}"
        );
        assert!(line.contains(named), "{line}");
    }
}

#[test]
fn plain_refusal_is_not_a_fault() {
    let mut host = Host::signed_in();
    host.pass(600);
    let refused = provider::json(400, r#"{"error":"invalid_grant"}"#);
    host.provider.replies.push_back(("/token", Some(refused)));
    assert_eq!(host.call("GET", "/api/orders").code(), "session_ended");
    assert!(
        host.events
            .iter()
            .any(|event| matches!(event, Event::Ended { .. }))
    );
    assert!(lines(&mut host).is_empty());
}

#[test]
fn lost_record_is_reported_once() {
    let mut host = Host::signed_in_with(&json!({ "session": { "storage": "in-store" } }));
    host.pass(60);
    host.store.clear();
    for _ in 0..3 {
        let request = host.by_script("GET", "/api/orders");
        assert_eq!(host.request_elsewhere(request).code(), "session_ended");
    }
    assert_eq!(host.ends(), [(EndReason::StorageLost, String::new())]);
    let [line] = &lines(&mut host)[..] else {
        panic!("not one line");
    };
    assert!(line.contains("storage_lost"), "{line}");
}

#[test]
fn record_that_expired_at_the_limit_is_not_lost() {
    let mut host = Host::signed_in_with(&json!({ "session": { "storage": "in-store" } }));
    let request = host.by_script("GET", "/api/orders");
    host.pass(43_200);
    host.store.clear();
    let response = host.request_elsewhere(request).own();
    assert_eq!(json_of(&response)["error"]["reason"], "absolute");
    assert!(
        !host
            .events
            .iter()
            .any(|event| matches!(event, Event::Ended { .. }))
    );
    assert!(lines(&mut host).is_empty());
}

#[test]
fn forged_cookies_cause_one_line_a_minute() {
    let forged = "1.AAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for value in [forged, "x"] {
        let mut host = Host::new();
        let mut request = host.by_script("GET", "/api/orders");
        request.cookie = Some(format!("{COOKIE}={value}"));
        for _ in 0..100 {
            host.request_elsewhere(request.clone());
        }
        let first = lines(&mut host);
        assert!(
            matches!(&first[..], [line] if !line.contains("more")),
            "{first:?}"
        );
        host.pass(59);
        host.request_elsewhere(request.clone());
        assert!(lines(&mut host).is_empty());
        host.pass(1);
        host.request_elsewhere(request);
        let second = lines(&mut host);
        assert!(
            matches!(&second[..], [line] if line.contains("more since the last report: 100.")),
            "{second:?}"
        );
    }
}

#[test]
fn clients_without_a_session_cause_one_line_a_minute() {
    for (method, path) in [
        ("GET", "/auth/callback?code=x&state=y"),
        ("GET", "/auth/callback"),
        ("GET", "/auth/callback?error=access_denied&state=y"),
        ("GET", "/auth/login?unknown=1"),
        ("GET", "/auth/logout"),
        ("POST", "/auth/callback"),
        ("GET", "/api/%61dmin/users"),
    ] {
        let mut host = Host::with(&json!({ "routes": [
            { "prefix": "/api/", "upstream": "https://api.example.com/v1/" },
            { "prefix": "/api/admin/", "upstream": "https://api.example.com/v1/admin/" },
        ] }));
        let mut request = host.navigation(path, Source::CrossSite);
        request.method = method.to_owned();
        for _ in 0..100 {
            host.request_elsewhere(request.clone());
        }
        let first = lines(&mut host);
        assert!(
            matches!(&first[..], [line] if !line.contains("more")),
            "{path}: {first:?}"
        );
        host.pass(59);
        host.request_elsewhere(request.clone());
        assert!(lines(&mut host).is_empty(), "{path}");
        host.pass(1);
        host.request_elsewhere(request);
        let second = lines(&mut host);
        assert!(
            matches!(&second[..], [line] if line.contains("more since the last report: 100.")),
            "{path}: {second:?}"
        );
    }
}

#[test]
fn window_at_an_address_for_another_method_gets_a_page() {
    for (method, path, named) in [
        ("POST", "/auth/callback", "response_mode query"),
        ("GET", "/auth/logout", "method=post"),
    ] {
        let mut host = Host::new();
        let mut request = host.navigation(path, Source::CrossSite);
        request.method = method.to_owned();
        let page = host.request_elsewhere(request).own();
        assert_eq!(page.status, 405);
        let Some((kind, text)) = &page.body else {
            panic!("no page");
        };
        assert!(kind.starts_with("text/html"), "{kind}");
        assert!(text.contains("<h1>"), "{text}");
        assert!(lines(&mut host)[0].contains(named), "{path}");
        // control: a script reads JSON, and logs nothing.
        let request = host.by_script(method, path);
        let response = host.request_elsewhere(request).own();
        assert_eq!(response.status, 405);
        assert_eq!(json_of(&response)["error"]["code"], "method_not_allowed");
        assert!(lines(&mut host).is_empty(), "{path}");
    }
}

#[test]
fn forged_logout_tokens_cause_one_line_a_minute() {
    for body in ["", "logout_token=x"] {
        let mut host = Host::signed_in();
        for _ in 0..100 {
            assert_eq!(host.post_back_channel(body).status, 400);
        }
        let first = lines(&mut host);
        assert!(
            matches!(&first[..], [line] if line.contains("logout_token_invalid")),
            "{first:?}"
        );
        // A forged token does not hide a refused token of the provider.
        let signed = host.provider.jwt(r#"{"alg":"ES256","kid":"key-0"}"#, "{}");
        assert_eq!(host.post_logout_token(&signed).status, 400);
        let refused = lines(&mut host);
        assert!(
            matches!(&refused[..], [line] if line.contains("its iss")),
            "{refused:?}"
        );
        host.pass(59);
        host.post_back_channel(body);
        assert!(lines(&mut host).is_empty());
        host.pass(1);
        host.post_back_channel(body);
        let second = lines(&mut host);
        assert!(
            matches!(&second[..], [line] if line.contains("more since the last report: 100.")),
            "{second:?}"
        );
    }
}

#[test]
fn different_cookie_faults_are_counted_apart() {
    let mut host = Host::new();
    for cookie in [format!("{COOKIE}=x"), format!("{COOKIE}=x; {COOKIE}=y")] {
        let mut request = host.by_script("GET", "/api/orders");
        request.cookie = Some(cookie);
        host.request_elsewhere(request);
        assert_eq!(host.faults(), [Code::CookieInvalid]);
    }
}

#[test]
fn scopes_that_a_refresh_adds_are_reported() {
    let mut host = Host::signed_in();
    for (scope, is_reported) in [
        ("openid", false),
        ("openid offline_access", false),
        ("openid admin", true),
        ("openid admin", false),
    ] {
        host.provider.scope = Some(scope);
        host.pass(600);
        assert_eq!(host.call("GET", "/api/orders").status(), 200);
        let log = lines(&mut host);
        let is_told = log
            .iter()
            .any(|line| line.contains("scope_exceeded") && line.contains("admin"));
        assert_eq!(
            (is_told, log.len()),
            (is_reported, usize::from(is_reported)),
            "{log:?}"
        );
    }
}

#[test]
fn logout_tells_whether_a_session_ended() {
    for (change, expected, faults) in [
        (None, json!([true, true]), 0),
        // The response to the first logout was lost.
        (Some("again"), json!([true, false]), 0),
        (Some("forged"), json!([false, false]), 2),
        (Some("none"), json!([false, false]), 0),
    ] {
        let mut host = Host::signed_in();
        let mut request = host.by_script("POST", "/auth/logout");
        match change {
            Some("again") => drop(host.request_elsewhere(request.clone())),
            Some("forged") => request.cookie = Some(format!("{COOKIE}=x")),
            Some(_) => request.cookie = None,
            None => {}
        }
        let has_cookie = request.cookie.is_some();
        let response = host.request_elsewhere(request).own();
        let body = json_of(&response);
        assert_eq!(
            json!([body["ended"], body["revoked"]]),
            expected,
            "{change:?}"
        );
        let cleared = format!("{COOKIE}=;");
        let clears = response
            .cookies
            .iter()
            .any(|cookie| cookie.starts_with(&cleared));
        assert_eq!(clears, has_cookie, "{change:?}");
        assert_eq!(lines(&mut host).len(), faults, "{change:?}");
    }
}

/// A client may put a user's name or address into whatever it sends.
// claim: handler-61
#[test]
fn log_quotes_nothing_that_a_client_chose() {
    const NAME: &str = "alice-of-example";
    let navigations = [
        "/auth/../x/alice-of-example",
        "/api/a%2f..%2falice-of-example",
        "/api/%5calice-of-example",
        "/api/alice-of-example/a%00b",
        "/api/alice-of-example/..;/b",
        "/api//alice-of-example",
        "/api/alice-of-example/%2e%2e/x",
        "/auth/login?alice-of-example=1",
        "/auth/login?prompt=login&prompt=alice-of-example",
        "/auth/login?max_age=alice-of-example",
        "/auth/login?returnTo=https://alice-of-example.test/",
        "/auth/login?iss=https://alice-of-example.test",
        "/auth/login?iss=https://id.example.com&target_link_uri=https://alice-of-example.test",
        "/auth/login?iss=https://id.example.com&alice-of-example=1",
        "/auth/callback?error=x&iss=https://alice-of-example.test",
        "/auth/callback?code=alice-of-example&state=alice-of-example",
    ];
    let token = |head: &str| format!("{}.e30.AA", base64url::encode(head.as_bytes()));
    let tokens = [
        token(r#"{"alg":"alice-of-example"}"#),
        token(r#"{"alg":"ES256","typ":"alice-of-example"}"#),
        token(r#"{"alg":"ES256","kid":"alice-of-example"}"#),
    ];
    let config = json!({
        "origin": ["https://app.example.com"],
        "routes": [{ "prefix": "/api/", "upstream": "https://api.example.com/v1/" }],
    });
    let mut said = 0;
    for (path, kind) in navigations
        .iter()
        .flat_map(|path| [0, 1, 2, 3].map(|kind| (path, kind)))
    {
        let mut host = Host::signed_in_with(&config);
        let mut request = match kind {
            0 => host.navigation(path, Source::App),
            1 => host.by_script(NAME, path),
            _ => host.by_script("GET", path),
        };
        if kind == 3 {
            request.url = format!("https://alice-of-example.test{path}");
        }
        let _ = host.request(request);
        let lines = lines(&mut host);
        said += lines.len();
        assert!(!lines.concat().contains(NAME), "{kind} {path}: {lines:?}");
    }
    for token in tokens {
        let mut host = Host::signed_in();
        host.body = Some(format!("logout_token={token}"));
        let request = Request {
            method: "POST".to_owned(),
            url: format!("{APP}/auth/backchannel-logout"),
            has_body: true,
            ..Request::default()
        };
        let _ = host.request(request);
        let lines = lines(&mut host);
        said += lines.len();
        assert!(!lines.concat().contains(NAME), "{lines:?}");
    }
    assert!(said > 12, "{said} lines are compared");
}

#[test]
fn broken_responses_of_a_route_are_one_line_a_minute() {
    let mut host = Host::signed_in();
    host.events.clear();
    let tell = |host: &mut Host, route, code, cause| {
        let broken = Broken {
            route,
            request_id: "own-id",
            code,
            cause,
        };
        host.handler.response_broke(host.now, &broken);
        while let Some(event) = host.handler.poll_event() {
            let Event::Fault(Fault { about, .. }) = &event else {
                panic!("{event:?}");
            };
            assert_eq!(about.request_id.as_deref(), Some("own-id"));
            host.events.push(event);
        }
    };
    let api = "https://api.example.com/v1/";
    for cause in ["Z_DATA_ERROR: incorrect header check", "another"] {
        tell(&mut host, 0, Code::UpstreamUnavailable, cause);
        tell(&mut host, 0, Code::TokenReflected, "");
        // No route has this number.
        tell(&mut host, 99, Code::UpstreamUnavailable, cause);
    }
    assert_eq!(
        host.fault_messages(),
        [
            format!("{api} broke off its response: Z_DATA_ERROR: incorrect header check"),
            format!("{api} responded with an access token of the session"),
        ]
    );
    host.events.clear();
    host.pass(60);
    tell(&mut host, 0, Code::UpstreamUnavailable, "two\nlines");
    assert_eq!(
        host.fault_messages(),
        [format!(
            "{api} broke off its response; more since the last report: 1"
        )]
    );
}
