//! A browser may request an address before the user opens it (`Sec-Purpose`): by speculation rules, or while the user
//! types.

use edge::Request;

use crate::browser::Source;
use crate::host::{Answered, Host, LOGIN_COOKIE, location};
use crate::provider::ISSUER;

fn prefetch(host: &mut Host, url: &str, purpose: &str) -> Answered {
    let request = Request {
        purpose: Some(purpose.to_owned()),
        ..host.navigation(url, Source::App)
    };
    host.request(request)
}

// claim: handler-14
#[test]
fn prefetch_begins_no_login() {
    for purpose in [
        "prefetch",
        "prefetch;prerender",
        "prefetch;anonymous-client-ip",
        "prefetch ; prerender",
    ] {
        let mut host = Host::new();
        let open = [(); 5].map(|()| host.come_back("/auth/login?returnTo=/orders"));
        let before = host.browser.clone();
        host.effects.clear();
        for path in [
            "/auth/login",
            "/auth/login?iss=https://id.example.com",
            "/api/orders",
            "/api/files/a",
        ] {
            let response = prefetch(&mut host, path, purpose).own();
            assert_eq!(response.status, 503, "{path}");
            assert!(response.cookies.is_empty() && response.body.is_none());
        }
        assert_eq!(host.browser.0, before.0);
        assert_eq!(host.browser.count(LOGIN_COOKIE), 5);
        assert!(host.effects.is_empty());
        // The oldest of the open logins still ends.
        assert_eq!(location(&host.arrive(&open[0])), "/orders");
    }
}

#[test]
fn control_sixth_login_replaces_the_oldest() {
    let mut host = Host::new();
    let open = [(); 5].map(|()| host.come_back("/auth/login"));
    host.begin_login("/auth/login");
    assert!(location(&host.arrive(&open[0])).starts_with(ISSUER));
}

// claim: handler-14
#[test]
fn prefetch_uses_up_neither_a_login_nor_a_logout() {
    let mut host = Host::new();
    let back = host.come_back("/auth/login");
    assert_eq!(prefetch(&mut host, &back, "prefetch").status(), 503);
    assert_eq!(host.arrive(&back).status, 303);
    host.call("POST", "/auth/logout");
    let leave = "/auth/logout/provider";
    assert_eq!(prefetch(&mut host, leave, "prefetch").status(), 503);
    let response = host.go(leave, Source::App).own();
    assert!(location(&response).starts_with("https://id.example.com/logout"));
}

// claim: handler-14
#[test]
fn prefetch_of_a_route_gets_no_token() {
    let mut host = Host::signed_in();
    assert_eq!(
        prefetch(&mut host, "/api/files/a", "prefetch").status(),
        503
    );
    assert!(host.upstream.is_empty());
    // Control: another purpose, and the user's click.
    assert_eq!(prefetch(&mut host, "/api/files/a", "unknown").status(), 200);
    assert_eq!(host.go("/api/files/a", Source::Click).status(), 200);
    // The app has its own rules for its pages.
    assert!(matches!(
        prefetch(&mut host, "/", "prefetch"),
        Answered::NotOurs
    ));
}
