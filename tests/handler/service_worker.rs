//! A service worker of the app stands between the browser and the handler. It passes navigations on
//! (`Sec-Fetch-Mode: navigate` with `Sec-Fetch-Dest: empty`), or sends other requests in their place.

use edge::{OwnResponse, Request};
use rules::Code;
use serde_json::json;

use crate::browser::Source;
use crate::callback::refreshed_to;
use crate::host::{APP, Answered, Host, header, location};
use crate::mark::MARK;
use crate::navigation::{link_in, page_of, without_click};
use crate::provider::ISSUER;

const ROUTE: &str = "/api/files/a";

/// The navigation as a worker passes it on. Its headers are the same for a typed address, a frame and a click.
fn passed_on(host: &Host, url: &str) -> Request {
    Request {
        dest: Some("empty".to_owned()),
        ..host.navigation(url, Source::App)
    }
}

fn go(host: &mut Host, url: &str) -> Answered {
    let request = passed_on(host, url);
    host.request(request)
}

/// The requests that a worker may send in place of a navigation.
fn replaced(host: &Host, url: &str) -> [Request; 2] {
    ["same-origin", "cors"].map(|mode| Request {
        mode: Some(mode.to_owned()),
        ..passed_on(host, url)
    })
}

#[test]
fn login_works_through_a_worker() {
    for cookie in ["lax", "strict"] {
        let cookie = json!({ "keys": [crate::host::KEYS[0]], "sameSite": cookie });
        let mut host = Host::with(&json!({ "cookie": cookie }));
        let begun = go(&mut host, "/auth/login?returnTo=/orders").own();
        let back = host.provider.sign_in(location(&begun));
        let response = go(&mut host, &back).own();
        assert_eq!(location(&response), "/orders");
        assert!(host.session().is_object());
        assert_eq!(go(&mut host, "/auth/popup").status(), 200);
        host.call("POST", "/auth/logout");
        let left = go(&mut host, "/auth/logout/provider").own();
        assert!(location(&left).starts_with(ISSUER));
    }
}

// claim: handler-15
#[test]
fn worker_makes_no_login_one_of_the_app() {
    let mut host = Host::new();
    let begun = go(&mut host, &["/auth/login?returnTo=", ROUTE].concat()).own();
    let back = host.provider.sign_in(location(&begun));
    let page = go(&mut host, &back).own();
    assert_eq!(without_click(&link_in(&page)), ROUTE);
    assert!(host.browser.get(MARK).is_some());
    assert_eq!(go(&mut host, &link_in(&page)).status(), 200);
}

// claim: handler-15
#[test]
fn route_needs_the_link_of_the_handler_each_time() {
    let mut host = Host::signed_in();
    for count in 1..3 {
        let page = go(&mut host, ROUTE).own();
        assert_eq!(page.status, 403);
        let csp = header(&page, "content-security-policy").unwrap();
        assert!(csp.contains("frame-ancestors 'none'"), "{csp}");
        let link = link_in(&page);
        assert_eq!(go(&mut host, &link).status(), 200);
        assert_eq!(host.upstream.len(), count);
        // The value works once.
        link_in(&go(&mut host, &link).own());
        assert_eq!(host.upstream.len(), count);
    }
    // A sign of a click proves nothing in such a request.
    let request = Request {
        user: Some("?1".to_owned()),
        ..passed_on(&host, ROUTE)
    };
    link_in(&host.request(request).own());
}

#[test]
fn portal_signs_in_through_a_worker() {
    let mut host = Host::new();
    let url = "/auth/login?iss=https://id.example.com&target_link_uri=/orders";
    let page = go(&mut host, url).own();
    let begun = go(&mut host, &refreshed_to(&page)).own();
    let back = host.provider.sign_in(location(&begun));
    let response = go(&mut host, &back).own();
    assert_eq!(location(&response), "/orders");
    // A link with the parameter of the repeated request sets the mark as well.
    let mut host = Host::signed_in();
    let response = go(&mut host, &[url, "&repeated="].concat()).own();
    assert_eq!(location(&response), "/orders");
    assert!(host.browser.get(MARK).is_some());
}

/// Checks that a page tells people what the worker did.
#[track_caller]
fn assert_names_the_line(response: &OwnResponse, path: &str) {
    assert_eq!(response.status, 403);
    assert_eq!(header(response, "x-strongroom"), Some("cross_site_request"));
    let line = format!("if (new URL(event.request.url).pathname.startsWith('{path}')) return");
    assert!(page_of(response).contains(&line), "{}", page_of(response));
}

// claim: handler-15
#[test]
fn replaced_navigation_gets_a_page_that_names_the_line() {
    for (url, path) in [
        ("/auth/login", "/auth/"),
        ("/auth/callback?code=c&state=s", "/auth/"),
        ("/auth/popup", "/auth/"),
        ("/auth/logout/provider", "/auth/"),
        (ROUTE, "/api/files/"),
    ] {
        for number in 0..2 {
            let mut host = Host::signed_in();
            let request = replaced(&host, url)[number].clone();
            let response = host.request(request).own();
            assert_names_the_line(&response, path);
            assert_eq!(host.faults(), [Code::CrossSiteRequest]);
            assert!(response.cookies.is_empty() && host.upstream.is_empty());
            // The log has the next case a minute later.
            let request = replaced(&host, url)[number].clone();
            host.request(request);
            assert!(host.faults().is_empty());
        }
    }
    // A route without `navigate` is for scripts, which get JSON.
    let mut host = Host::signed_in();
    for request in replaced(&host, "/api/orders") {
        let answered = host.request(request);
        assert_eq!(
            (answered.status(), &*answered.code()),
            (403, "cross_site_request")
        );
    }
}

// claim: handler-15
#[test]
fn form_that_a_worker_passes_on_does_not_log_out() {
    let mut host = Host::signed_in();
    let form = Request {
        method: "POST".to_owned(),
        origin: Some(APP.to_owned()),
        ..passed_on(&host, "/auth/logout")
    };
    // Firefox.
    let replaced = Request {
        mode: Some("same-origin".to_owned()),
        ..form.clone()
    };
    for request in [form, replaced] {
        let response = host.request(request).own();
        assert_names_the_line(&response, "/auth/");
        assert!(host.session().is_object());
    }
}
