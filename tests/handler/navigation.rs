//! A user navigates to a route by a link or directly.

use crate::browser::Source;
use crate::callback::refreshed_to;
use crate::host::{Answered, COOKIE, Host, location};
use serde_json::json;

#[test]
fn navigation_without_session_leads_through_login() {
    for (path, login) in [
        (
            "/api/files/a?b=c",
            "/auth/login?returnTo=%2Fapi%2Ffiles%2Fa%3Fb%3Dc",
        ),
        // This route does not allow navigation, so the login returns to `/` instead.
        ("/api/orders", "/auth/login?returnTo=%2F"),
    ] {
        for source in [Source::App, Source::CrossSite] {
            let mut host = Host::new();
            let response = host.go(path, source).own();
            assert_eq!(location(&response), login);
        }
    }
    let mut host = Host::new();
    let response = host.go("/api/files/a", Source::App).own();
    let back = host.come_back(location(&response));
    // The redirect comes from another site, the provider, so it goes through an intermediate page of the handler.
    let target = refreshed_to(&host.arrive(&back));
    assert_eq!(target, "/api/files/a");
    assert_eq!(host.go(&target, Source::App).status(), 200);
}

#[test]
fn cross_site_login_does_not_lead_to_route() {
    let strict = json!({ "cookie": { "keys": [crate::host::KEYS[0]], "sameSite": "strict" } });
    for config in [json!({}), strict] {
        for path in [
            "/api/files/a",
            "/auth/login?returnTo=/api/files/a",
            "/auth/login?returnTo=/.//api/files/a",
            "/auth/login?returnTo=/x/..//api/files/a",
            "/auth/login?returnTo=/.///api/files/a",
            "/auth/login?returnTo=https://app.example.com//api/files/a",
            "/auth/login?returnTo=/auth/login%3FreturnTo=/api/files/a",
            "/auth/login?returnTo=/.//auth/login%3FreturnTo=/api/files/a",
        ] {
            let mut host = Host::with(&config);
            let mut response = host.go(path, Source::CrossSite).own();
            if location(&response).starts_with("/auth/login") {
                let login = location(&response).to_owned();
                response = host.go(&login, Source::CrossSite).own();
            }
            let back = host.provider.authorize(location(&response));
            let arrived = host.come_in(&back);
            assert_eq!(location(&arrived), "/", "{path}");
            assert!(host.upstream.is_empty());
        }
    }
}

#[test]
fn return_path_too_long_for_a_cookie_is_dropped() {
    for (length, target) in [(1024, "%2Fapi"), (1025, "%2F")] {
        let mut host = Host::new();
        let path = "/api/files/".to_owned() + &"a".repeat(length - 11);
        let response = host.go(&path, Source::App).own();
        let login = location(&response).to_owned();
        assert!(
            login.starts_with(&["/auth/login?returnTo=", target].concat()),
            "{login}"
        );
        host.begin_login(&login);
    }
}

#[test]
fn navigation_with_session_reaches_navigable_routes() {
    for (path, site, status) in [
        ("/api/files/a", "same-origin", 200),
        ("/api/files/a", "none", 200),
        ("/api/files/a", "same-site", 403),
        ("/api/files/a", "cross-site", 403),
        ("/api/orders", "same-origin", 403),
        ("/api/orders", "none", 403),
    ] {
        let mut host = Host::signed_in();
        let mut request = host.navigation(path, Source::App);
        request.site = Some(site.to_owned());
        assert_eq!(host.request(request).status(), status, "{path} {site}");
        assert_eq!(
            host.upstream.len(),
            usize::from(status == 200),
            "{path} {site}"
        );
    }
}

#[test]
fn post_is_not_a_navigation() {
    for signed_in in [true, false] {
        for site in ["same-origin", "none", "cross-site"] {
            let mut host = match signed_in {
                true => Host::signed_in_with(&routes()),
                false => Host::with(&routes()),
            };
            let mut request = host.navigation("/api/files/a", Source::App);
            request.method = "POST".to_owned();
            request.site = Some(site.to_owned());
            request.origin = Some("https://app.example.com".to_owned());
            request.accept = Some("text/html".to_owned());
            let answered = host.request(request);
            assert_eq!(answered.status(), 403, "{site}");
            assert_eq!(answered.code(), "cross_site_request");
            assert!(host.upstream.is_empty());
        }
    }
}

/// Returns a route that allows navigation, and POST requests of the app's script.
fn routes() -> serde_json::Value {
    json!({ "routes": [{
        "prefix": "/api/files/",
        "upstream": "https://files.example.com/",
        "methods": ["GET", "POST"],
        "navigate": true,
    }] })
}

#[test]
fn frame_is_not_a_navigation() {
    for dest in ["iframe", "frame", "embed", "object"] {
        for signed_in in [true, false] {
            let mut host = if signed_in {
                Host::signed_in()
            } else {
                Host::new()
            };
            let mut request = host.navigation("/api/files/a", Source::App);
            request.dest = Some(dest.to_owned());
            assert_eq!(host.request(request).status(), 403, "{dest} {signed_in}");
            assert!(host.upstream.is_empty());
        }
    }
}

#[test]
fn unreachable_session_is_not_replaced() {
    let mut host = Host::signed_in_with(&json!({ "session": { "storage": "in-store" } }));
    host.restart(&json!({}));
    host.failing = vec!["Read"];
    let answered = host.go("/api/files/a", Source::App);
    assert_eq!(answered.status(), 503, "{answered:?}");
    assert_eq!(host.browser.count(COOKIE), 1);
    host.failing.clear();
    host.pass(2);
    assert_eq!(host.go("/api/files/a", Source::App).status(), 200);
}

#[test]
fn ended_session_is_replaced_by_login() {
    let mut host = Host::signed_in();
    host.pass(1800);
    let response = host.go("/api/files/a", Source::App).own();
    assert!(location(&response).starts_with("/auth/login?"));
    assert_eq!(host.browser.count(COOKIE), 0);
}

#[test]
fn unrouted_and_forbidden_addresses_have_own_errors() {
    let mut host = Host::new();
    assert!(matches!(host.go("/", Source::App), Answered::NotOurs));
    assert_eq!(host.go("/api/files/..%2fa", Source::App).status(), 404);
}
