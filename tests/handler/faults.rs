//! If a host, a coordinator or a provider fails at any step, every request still gets a response, no secret leaks, and
//! no session ends unnecessarily.

use edge::{Event, Fault};
use serde_json::json;

use crate::browser::Source;
use crate::host::{Answered, COOKIE, Host, location};

const EFFECTS: &[&str] = &[
    "Open",
    "Seal",
    "Read",
    "Swap",
    "Send",
    "Verify",
    "Sign",
    "GenerateKey",
    "Body",
    "Forward",
];

/// The last two strings are prefixes of JWTs. They are this long because the first three characters alone occasionally
/// occur by chance in a sealed cookie.
const SECRETS: &[&str] = &[
    "access-token",
    "refresh-",
    "s3cret",
    "code-",
    "eyJhbGci",
    "eyJ0eXAi",
];

fn shown(answered: &Answered) -> String {
    match answered {
        Answered::Own(response) => format!("{:?} {:?}", response.body, response.headers),
        other => format!("{other:?}"),
    }
}

// claim: handler-36
#[test]
fn every_failure_gets_a_response_without_secrets() {
    for dpop in [false, true] {
        for storage in ["sealed-in-cookie", "in-store"] {
            for effect in EFFECTS {
                let mut host =
                    Host::with(&json!({ "dpop": dpop, "session": { "storage": storage } }));
                let back = host.come_back("/auth/login");
                let mut fresh = host.browser.clone();
                host.arrive(&back);
                host.pass(600);
                host.failing = vec![effect];
                host.provider.replies.push_back(("/revoke", None));
                for url in ["/auth/login", "/api/files/a", "/auth/logout/provider"] {
                    let answered = host.go(url, Source::App);
                    let text = shown(&answered);
                    assert!(answered.status() != 0, "{effect} {url}");
                    assert!(
                        !SECRETS.iter().any(|secret| text.contains(secret)),
                        "{text}"
                    );
                }
                for (method, url) in [
                    ("GET", "/auth/session"),
                    ("GET", "/api/a"),
                    ("POST", "/auth/logout"),
                ] {
                    let answered = host.call(method, url);
                    let text = shown(&answered);
                    assert!(
                        !SECRETS.iter().any(|secret| text.contains(secret)),
                        "{text}"
                    );
                }
                std::mem::swap(&mut host.browser, &mut fresh);
                host.arrive(&back);
                assert_ne!(host.post_logout_token("x").status, 200);
                for event in &host.events {
                    if let Event::Fault(Fault { error, .. }) = event {
                        let text = error.to_string();
                        assert!(
                            !SECRETS.iter().any(|secret| text.contains(secret)),
                            "{text}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn control_finds_each_secret_in_its_place() {
    let auth = json!({ "method": "client_secret_post", "secret": "s3cret" });
    let client = json!({ "id": "web", "auth": auth });
    let mut host = Host::with(&json!({ "dpop": true, "client": client }));
    host.sign_in();
    host.pass(600);
    host.call("GET", "/api/a");
    host.call("POST", "/auth/logout");
    let leaving = host.go("/auth/logout/provider", Source::App).own();
    let told = (&host.upstream, &host.provider.requests, location(&leaving));
    let text = format!("{told:?}");
    for secret in SECRETS {
        assert!(text.contains(secret), "{secret}");
    }
}

// claim: handler-49
#[test]
fn sessions_survive_transient_failures() {
    for storage in ["sealed-in-cookie", "in-store"] {
        for effect in ["Seal", "Read", "Swap", "Send", "Verify", "Forward"] {
            for stale in [false, true] {
                let mut host = Host::signed_in_with(&json!({ "session": { "storage": storage } }));
                host.pass(if stale { 600 } else { 60 });
                host.failing = vec![effect];
                let status = host.call("GET", "/api/orders").status();
                assert!(
                    matches!(status, 200 | 502 | 503),
                    "{effect} {stale}: {status}"
                );
                assert_eq!(host.browser.count(COOKIE), 1, "{effect} {stale}");
                host.failing.clear();
                host.pass(60);
                assert_eq!(
                    host.call("GET", "/api/orders").status(),
                    200,
                    "{storage} {effect} {stale}"
                );
            }
        }
    }
}

#[test]
fn malformed_url_is_bad_request() {
    for url in [
        "",
        "/",
        "x",
        "https://",
        "data:text/html,x",
        "https://a b/",
        "https://[::1/",
    ] {
        let mut host = Host::new();
        let mut request = host.by_script("GET", "/auth/session");
        request.url = url.to_owned();
        let response = host.request(request).own();
        assert!(
            matches!(response.status, 400 | 500),
            "{url} {}",
            response.status
        );
        assert_eq!(response.body, None);
    }
}

// claim: handler-36
#[test]
fn unusual_requests_get_responses() {
    let long = "x".repeat(200_000);
    let mut host = Host::signed_in();
    for text in [
        long.as_str(),
        "",
        ";;;",
        "=",
        "é\u{202e}",
        "__Host-strongroom=2~x",
        "\u{0}",
    ] {
        for url in [
            "/auth/session",
            "/api/orders",
            "/auth/callback?state=x&code=y",
            "/auth/login?returnTo=/",
        ] {
            let mut request = host.by_script("GET", url);
            request.cookie = Some(text.to_owned());
            request.accept = Some(text.to_owned());
            request.method = "GET".to_owned();
            host.request_elsewhere(request.clone());
            request.method = text.to_owned();
            host.request_elsewhere(request.clone());
            request.marker = None;
            request.origin = Some(text.to_owned());
            assert!(host.request_elsewhere(request).status() >= 400);
        }
    }
    assert!(host.session().is_object());
}
