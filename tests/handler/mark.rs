//! After a login that began outside the app, no redirect leads to a route with a token. Only the user's click does.

use edge::OwnResponse;
use rules::codec::form::Form;
use serde_json::{Value, json};

use crate::browser::{Browser, Source};
use crate::callback::refreshed_to;
use crate::host::{APP, Host, KEYS, location};
use crate::navigation::{link_in, page_of, without_click};
use crate::provider::ISSUER;

pub(crate) const MARK: &str = "__Host-strongroom-outside";

/// A route, which gets a token.
const ROUTE: &str = "/api/files/a";

/// Both kinds of cookies.
fn kinds() -> [Value; 2] {
    let strict = json!({ "cookie": { "keys": [KEYS[0]], "sameSite": "strict" } });
    [json!({}), strict]
}

fn login(return_to: &str) -> String {
    let mut query = Form::new();
    query.push("returnTo", return_to);
    ["/auth/login?", &query.finish()].concat()
}

fn elsewhere(target: &str) -> String {
    let mut query = Form::new();
    query.push("iss", ISSUER).push("target_link_uri", target);
    ["/auth/login?", &query.finish()].concat()
}

fn is_marked(host: &Host) -> bool {
    host.browser.get(MARK).is_some()
}

/// Follows what a response tells the browser to open, and returns the last response of the handler, with the path that
/// the browser opens next. `from` is the beginning of the navigation, which redirects keep.
#[track_caller]
fn follow(
    host: &mut Host,
    mut response: OwnResponse,
    mut from: Source,
) -> (OwnResponse, String, Source) {
    for _ in 0..10 {
        let next = match response.status {
            303 => location(&response).to_owned(),
            200 if page_of(&response).contains("http-equiv") => {
                from = Source::App;
                refreshed_to(&response)
            }
            _ => return (response, String::new(), from),
        };
        let next = if next.starts_with(ISSUER) {
            host.provider.sign_in(&next)
        } else {
            next
        };
        let path = next.strip_prefix(APP).unwrap_or(&next);
        if !path.starts_with("/auth/") {
            return (response, path.to_owned(), from);
        }
        response = host.go(&next, from).own();
    }
    panic!("the browser goes round in circles: {response:?}");
}

/// Opens a path, and follows all redirects and pages of the handler. The app redirects its page `/go` to the route.
#[track_caller]
fn open(host: &mut Host, path: &str, from: Source) -> OwnResponse {
    let response = host.go(path, from).own();
    let (response, next, from) = follow(host, response, from);
    match next.as_str() {
        "" => response,
        "/go" => host.go(ROUTE, from).own(),
        _ => panic!("the app has no page {next}"),
    }
}

// claim: handler-12, handler-18
#[test]
fn redirect_of_the_app_reaches_no_route() {
    for config in kinds() {
        for from in [Source::CrossSite, Source::Browser] {
            for path in [
                login("/go"),
                [&login("/go"), "&prompt=none"].concat(),
                elsewhere("/go"),
            ] {
                for is_signed_in in [false, true] {
                    let mut host = Host::with(&config);
                    if is_signed_in {
                        host.sign_in();
                    }
                    let page = open(&mut host, &path, from);
                    assert_eq!(without_click(&link_in(&page)), ROUTE, "{path}");
                    assert!(host.upstream.is_empty());
                    assert!(is_marked(&host));
                }
            }
        }
    }
}

// claim: handler-12
#[test]
fn path_that_a_proxy_decodes_reaches_no_route() {
    for config in kinds() {
        for disguised in ["/api/%66iles/a", "/Api/files/a"] {
            let mut host = Host::with(&config);
            let page = open(&mut host, &login(disguised), Source::CrossSite);
            assert_eq!(link_in(&page), disguised);
            let page = host.go(ROUTE, Source::App).own();
            assert_eq!(without_click(&link_in(&page)), ROUTE);
            assert!(host.upstream.is_empty());
        }
    }
}

#[test]
fn path_with_an_escaped_slash_is_not_returned_to() {
    for config in kinds() {
        let mut host = Host::with(&config);
        let path = login("/x/..%2fapi/files/a");
        let response = host.go(&path, Source::CrossSite).own();
        let (_, next, _) = follow(&mut host, response, Source::CrossSite);
        assert_eq!(next, "/");
        assert!(is_marked(&host));
    }
}

// claim: handler-12
#[test]
fn mark_outlasts_slow_users() {
    for config in kinds() {
        for path in [login("/go"), elsewhere("/go")] {
            let mut host = Host::with(&config);
            let response = host.go(&path, Source::CrossSite).own();
            let (at_provider, response) = match response.status {
                303 => (location(&response).to_owned(), response),
                _ => {
                    let begun = host.go(&refreshed_to(&response), Source::App).own();
                    (location(&begun).to_owned(), begun)
                }
            };
            assert_eq!(response.status, 303);
            host.pass(500);
            let back = host.provider.sign_in(&at_provider);
            open(&mut host, &back, Source::CrossSite);
            host.pass(86_000);
            host.sign_in();
            assert!(is_marked(&host));
            link_in(&host.go(ROUTE, Source::App).own());
            assert!(host.upstream.is_empty());
        }
    }
}

/// A provider on the app's own origin turns the navigation of another site into one of the app's origin, with the
/// user's click on the provider's form.
// claim: handler-12
#[test]
fn click_at_a_provider_on_the_apps_origin_reaches_no_route() {
    for config in kinds() {
        for from in [Source::App, Source::Click] {
            let mut host = Host::with(&config);
            let begun = host.go(&login("/go"), Source::CrossSite).own();
            let back = host.provider.sign_in(location(&begun));
            let page = open(&mut host, &back, from);
            assert_eq!(without_click(&link_in(&page)), ROUTE, "{from:?}");
            assert!(host.upstream.is_empty());
        }
    }
}

/// A user may click while a page of the handler forwards the browser.
// claim: handler-12
#[test]
fn click_on_a_forwarding_page_reaches_no_route() {
    for config in kinds() {
        for path in [login("/go"), elsewhere("/go")] {
            for is_signed_in in [false, true] {
                let mut host = Host::with(&config);
                if is_signed_in {
                    host.sign_in();
                }
                let mut response = host.go(&path, Source::CrossSite).own();
                // Each page is left with a click.
                while response.status == 303 || page_of(&response).contains("http-equiv") {
                    let (next, from) = match response.status {
                        303 => (location(&response).to_owned(), Source::Click),
                        _ => (refreshed_to(&response), Source::Click),
                    };
                    let next = match next.strip_prefix(ISSUER) {
                        Some(_) => host.provider.sign_in(&next),
                        None => next,
                    };
                    assert_ne!(next, "/go", "{path}");
                    response = host.go(&next, from).own();
                }
                // The page shows the address, and waits for a click.
                assert_eq!(link_in(&response), "/go", "{path}");
            }
        }
    }
}

// claim: handler-12
#[test]
fn failed_logins_set_the_mark_too() {
    for config in kinds() {
        let mut host = Host::with(&config);
        let begun = host.go(&login("/go"), Source::CrossSite).own();
        let back = host.provider.sign_in(location(&begun));
        host.provider.replies.push_back(("/token", None));
        let (response, ..) = {
            let response = host.go(&back, Source::CrossSite).own();
            follow(&mut host, response, Source::CrossSite)
        };
        assert_eq!(response.status, 503);
        assert!(is_marked(&host));
    }
    for url in ["/auth/callback", "/auth/callback?code=c&state=s"] {
        let mut host = Host::new();
        host.go(url, Source::App);
        assert!(is_marked(&host), "{url}");
    }
}

#[test]
fn mark_lasts_as_long_as_the_browsers_session() {
    let mut host = Host::new();
    open(&mut host, &login("/go"), Source::CrossSite);
    let mark = host.browser.get(MARK).unwrap();
    assert_eq!(
        mark.attributes,
        ["Path=/", "HttpOnly", "SameSite=Lax", "Secure"]
    );
}

#[test]
fn logins_of_the_app_set_no_mark() {
    for config in kinds() {
        for from in [Source::App, Source::Click] {
            for target in ["/orders", ROUTE] {
                let mut host = Host::with(&config);
                let begun = host.go(&login(target), from).own();
                let back = host.provider.sign_in(location(&begun));
                let response = host.go(&back, Source::CrossSite).own();
                let (_, next, from) = follow(&mut host, response, Source::CrossSite);
                assert_eq!(next, target);
                assert!(!is_marked(&host));
                if target == ROUTE {
                    assert_eq!(host.go(&next, from).status(), 200);
                }
            }
        }
    }
}

/// Two handlers of one host have cookies with different names. A login at the first handler, whose pages make a navigation
/// one of the app's origin, must not lead to a route of the second one.
// claim: handler-12
#[test]
fn login_at_another_handler_of_the_host_reaches_no_route() {
    let second = |same_site| {
        json!({
            "cookie": { "keys": [KEYS[1]], "name": "second", "sameSite": same_site, "httpPrefix": true },
            "routes": [{ "prefix": "/second/", "upstream": "https://files.example.com/", "navigate": true }],
        })
    };
    for (config, same_site) in kinds().iter().zip(["lax", "strict"]) {
        for target in ["/second/a", "/go"] {
            for path in [elsewhere(target), login(target)] {
                let mut first = Host::signed_in_with(config);
                let mut second = Host::with(&second(same_site));
                second.browser = first.browser.clone();
                second.sign_in();
                first.browser = second.browser.clone();

                let response = first.go(&path, Source::CrossSite).own();
                let (_, _, from) = follow(&mut first, response, Source::CrossSite);
                second.browser = first.browser.clone();
                let page = second.go("/second/a", from).own();
                let link = link_in(&page);
                assert_eq!(without_click(&link), "/second/a", "{path}");
                assert!(second.upstream.is_empty(), "{path}");
                assert_eq!(second.go(&link, Source::App).status(), 200);
                first.browser = second.browser.clone();
                assert!(!is_marked(&first));
            }
        }
    }
}

#[test]
fn click_in_the_app_ends_the_mark() {
    for config in kinds() {
        for path in [login("/go"), elsewhere("/go")] {
            let mut host = Host::with(&config);
            open(&mut host, &path, Source::CrossSite);
            assert_eq!(host.go(ROUTE, Source::Click).status(), 200);
            assert!(!is_marked(&host));
            assert_eq!(host.go(ROUTE, Source::App).status(), 200);
        }
    }
}

#[test]
fn click_that_begins_a_login_ends_the_mark() {
    let mut host = Host::new();
    open(&mut host, &login("/go"), Source::CrossSite);
    let begun = host.go(&login(ROUTE), Source::Click).own();
    assert!(!is_marked(&host));
    let back = host.provider.sign_in(location(&begun));
    assert_eq!(refreshed_to(&host.arrive(&back)), ROUTE);
    assert_eq!(host.go(ROUTE, Source::App).status(), 200);
    // Without a click, the login does not count as one of the app.
    let mut host = Host::new();
    open(&mut host, &login("/go"), Source::CrossSite);
    let back = host.come_back(&login(ROUTE));
    assert_eq!(without_click(&link_in(&host.arrive(&back))), ROUTE);
}

// claim: handler-12
#[test]
fn click_that_answers_another_site_keeps_the_mark() {
    for config in kinds() {
        let mut host = Host::signed_in_with(&config);
        host.call("POST", "/auth/logout");
        let question = open(&mut host, &elsewhere("/go"), Source::CrossSite);
        let begun = host.go(&link_in(&question), Source::Click).own();
        assert!(is_marked(&host));
        let back = host.provider.sign_in(location(&begun));
        let page = open(&mut host, &back, Source::CrossSite);
        assert_eq!(without_click(&link_in(&page)), ROUTE);
        assert!(host.upstream.is_empty());
    }
}

/// Opens the page with a link to the route, and returns the link.
#[track_caller]
fn link_of_marked(host: &mut Host) -> String {
    open(host, &login("/go"), Source::CrossSite);
    link_in(&host.go(ROUTE, Source::App).own())
}

#[test]
fn link_of_the_handler_works_without_signs_of_clicks() {
    for config in kinds() {
        let mut host = Host::with(&config);
        let link = link_of_marked(&mut host);
        assert_eq!(host.go(&link, Source::App).status(), 200);
        assert_eq!(
            host.upstream.last().unwrap().url,
            "https://files.example.com/a"
        );
        assert!(!is_marked(&host));
        assert_eq!(host.go(ROUTE, Source::App).status(), 200);
    }
}

// claim: handler-12
#[test]
fn link_of_the_handler_works_once() {
    let mut host = Host::new();
    let link = link_of_marked(&mut host);
    assert_eq!(host.go(&link, Source::App).status(), 200);
    // The browser gets another mark, for which the value is useless.
    open(&mut host, &login("/go"), Source::CrossSite);
    let again = link_in(&host.go(&link, Source::App).own());
    assert_ne!(again, link);
    assert_eq!(without_click(&again), ROUTE);
    assert_eq!(host.upstream.len(), 1);
}

// claim: handler-12
#[test]
fn link_of_the_handler_is_bound_to_browser_address_and_key() {
    let mut host = Host::new();
    let link = link_of_marked(&mut host);
    let (_, value) = link.split_once("strongroom-click=").unwrap();
    let marked = host.browser.clone();
    for path in [
        "/api/files/b?strongroom-click=",
        "/api/files/a/b?strongroom-click=",
        "/api/files/a?x=1&strongroom-click=",
        "/api/files/a?&strongroom-click=",
    ] {
        link_in(&host.go(&[path, value].concat(), Source::App).own());
    }
    link_in(&host.go(&[&link, "A"].concat(), Source::App).own());
    // Another site opens the link.
    for from in [Source::CrossSite, Source::Browser] {
        link_in(&host.go(&link, from).own());
    }
    // The attacker has the link of another browser, with any mark that the attacker likes.
    host.browser = Browser::default();
    link_of_marked(&mut host);
    link_in(&host.go(&link, Source::App).own());
    assert!(host.upstream.is_empty());
    // Control: in its own browser, the link works.
    host.browser = marked;
    assert_eq!(host.go(&link, Source::App).status(), 200);
}

#[test]
fn malformed_mark_is_replaced() {
    for value in [
        "1",
        "",
        "AAAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAAAAA",
    ] {
        let mut host = Host::signed_in();
        host.browser.set(&format!("{MARK}={value}; Path=/; Secure"));
        let link = link_in(&host.go(ROUTE, Source::App).own());
        assert_ne!(host.browser.get(MARK).unwrap().value, value);
        assert_eq!(host.go(&link, Source::App).status(), 200);
    }
}

#[test]
fn several_pages_with_links_share_a_mark() {
    let mut host = Host::new();
    let link = link_of_marked(&mut host);
    let other = link_in(&host.go("/api/files/b", Source::CrossSite).own());
    assert_eq!(host.go(&link, Source::App).status(), 200);
    assert_eq!(host.go(&other, Source::App).status(), 200);
    let urls: Vec<&str> = host.upstream.iter().map(|sent| sent.url.as_str()).collect();
    assert_eq!(
        urls,
        ["https://files.example.com/a", "https://files.example.com/b"]
    );
}

#[test]
fn value_of_the_link_reaches_no_upstream() {
    for (path, forwarded) in [
        ("/api/files/a", "a"),
        ("/api/files/a?", "a?"),
        ("/api/files/a?b=%20&c", "a?b=%20&c"),
        ("/api/files/a?b=c?d", "a?b=c?d"),
    ] {
        let mut host = Host::signed_in();
        let link = link_in(&host.go(path, Source::CrossSite).own());
        assert_eq!(host.go(&link, Source::App).status(), 200, "{link}");
        let sent = &host.upstream[0].url;
        assert_eq!(sent, &["https://files.example.com/", forwarded].concat());
        // Without a session, the login returns to the plain address.
        host.browser.0.clear();
        let login = location(&host.go(&link, Source::App).own()).to_owned();
        assert!(!login.contains("strongroom-click"), "{login}");
    }
}

#[test]
fn login_page_keeps_the_fragment_of_a_route() {
    let mut host = Host::new();
    let page = open(&mut host, &login("/api/files/a?b#c"), Source::CrossSite);
    let link = link_in(&page);
    assert!(link.starts_with("https://app.example.com/api/files/a?b&strongroom-click="));
    assert!(link.ends_with("#c"), "{link}");
    let (link, _) = link.split_once('#').unwrap();
    assert_eq!(host.go(link, Source::App).status(), 200);
}

#[test]
fn browser_without_fetch_metadata_gets_through_by_the_link() {
    let mut host = Host::signed_in();
    let ask = |host: &mut Host, url: &str| host.go_without_metadata(url, Source::App);
    let link = link_in(&ask(&mut host, ROUTE).own());
    assert_eq!(ask(&mut host, &link).status(), 200);
    link_in(&ask(&mut host, ROUTE).own());
}

#[test]
fn host_that_cannot_seal_still_shows_the_page() {
    let mut host = Host::signed_in();
    host.failing = vec!["Seal"];
    let link = link_in(&host.go(ROUTE, Source::CrossSite).own());
    assert_eq!(link, [APP, ROUTE].concat());
    assert_eq!(host.go(&link, Source::Click).status(), 200);
}
