//! Navigations and pages of bound sessions.

use serde_json::json;

use crate::browser::Source;
use crate::callback::refreshed_to;
use crate::device::{
    BOUND, CALL, Device, IN_FLIGHT, VALID, binding, bound, host, sign_in, storages,
};
use crate::host::{Answered, Host, json_of, location};
use crate::mark::MARK;
use crate::provider::ISSUER;

#[test]
fn navigation_from_another_site_gets_a_link_and_no_token() {
    let mut host = Host::with(&json!({
        "session": { "bind": "if-supported" },
        "routes": [{ "prefix": "/api/", "upstream": "https://api.example.com/v1/", "navigate": true }],
    }));
    bound(&mut host);
    host.pass(IN_FLIGHT + 1);
    host.browser.lose(BOUND);
    let response = host.go(CALL, Source::CrossSite).own();
    assert_eq!(response.status, 403);
    assert!(response.body.unwrap().1.contains(CALL));
    assert!(host.upstream.is_empty());
    // The key is lost if even the browser's own navigation has no bound cookie.
    let response = host.go(CALL, Source::Click).own();
    assert_eq!(response.status, 303);
}

#[test]
fn page_learns_that_its_browser_has_no_key() {
    let mut host = host();
    bound(&mut host);
    host.pass(IN_FLIGHT + 1);
    host.browser.lose(BOUND);
    let response = host.call("GET", "/auth/session").own();
    assert_eq!(
        json_of(&response),
        json!({ "session": null, "code": "bound_cookie_missing" })
    );
    assert!(response.cookies.is_empty());
}

#[test]
fn navigation_of_another_site_to_a_page_is_repeated_by_the_app() {
    for config in storages() {
        let mut host = Host::with(&config);
        bound(&mut host);
        host.pass(IN_FLIGHT + 1);
        let own = host.go("/page?a=1", Source::CrossSite);
        assert!(matches!(own, Answered::NotOurs), "with the bound cookie");
        host.browser.lose(BOUND);
        let page = host.go("/page?a=1", Source::CrossSite).own();
        assert_eq!(refreshed_to(&page), "https://app.example.com/page?a=1");
        // Otherwise a page of the app that redirects to a route would open it without a click.
        assert!(host.browser.get(MARK).is_some());
        assert!(matches!(
            host.go("/page?a=1", Source::App),
            Answered::NotOurs
        ));
        let script = host.by_script("GET", "/page?a=1");
        assert!(matches!(host.request(script), Answered::NotOurs));
    }
}

#[test]
fn control_navigation_without_a_bound_session_reaches_the_app() {
    for mode in ["if-supported", "report"] {
        let mut host = Host::with(&binding(mode));
        assert!(matches!(
            host.go("/page", Source::CrossSite),
            Answered::NotOurs
        ));
        sign_in(&mut host);
        host.pass(IN_FLIGHT + 1);
        assert!(matches!(
            host.go("/page", Source::CrossSite),
            Answered::NotOurs
        ));
    }
}

// claim: handler-63
#[test]
fn another_site_does_not_replace_a_bound_session() {
    let mut host = host();
    bound(&mut host);
    host.pass(VALID);
    host.browser.lose(BOUND);
    let issuer = ISSUER.replace(':', "%3A").replace('/', "%2F");
    let page = host
        .go(&format!("/auth/login?iss={issuer}"), Source::CrossSite)
        .own();
    let response = host.go(&refreshed_to(&page), Source::App).own();
    assert_eq!(location(&response), "/");
}

#[test]
fn page_learns_the_reason_of_an_end_without_the_bound_cookie() {
    for config in storages() {
        let mut host = Host::with(&config);
        let offer = sign_in(&mut host).unwrap();
        Device::new().register(&mut host, &offer);
        host.call("GET", CALL);
        host.pass(IN_FLIGHT + 1);
        Device::new().register(&mut host, &offer);
        host.browser.lose(BOUND);
        let view = json_of(&host.call("GET", "/auth/session").own());
        assert_eq!(view["reason"], json!("security"));
    }
}

#[test]
fn repeated_navigation_stays_on_the_apps_origin() {
    let mut host = host();
    bound(&mut host);
    host.pass(IN_FLIGHT + 1);
    host.browser.lose(BOUND);
    let url = "https://app.example.com//evil.example/x";
    let page = host.go(url, Source::CrossSite).own();
    assert_eq!(refreshed_to(&page), url);
    // Without Fetch Metadata, the page would repeat itself without end.
    let answered = host.go_without_metadata("/page", Source::App);
    assert!(matches!(answered, Answered::NotOurs));
}

#[test]
fn navigation_is_repeated_once() {
    let mut host = host();
    bound(&mut host);
    host.pass(IN_FLIGHT + 1);
    host.browser.lose(BOUND);
    host.go("/page", Source::CrossSite).own();
    // In a sandboxed window, the repetition also comes from another site.
    let again = host.go("/page", Source::CrossSite);
    assert!(matches!(again, Answered::NotOurs), "{again:?}");
    let other = host.go("/page?other", Source::CrossSite).own();
    assert_eq!(refreshed_to(&other), "https://app.example.com/page?other");
    host.go("/page", Source::CrossSite).own();
}
