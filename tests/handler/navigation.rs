//! A user navigates to a route by a link or directly.

use crate::browser::Source;
use crate::callback::refreshed_to;
use crate::host::{Answered, COOKIE, Host, KEYS, header, location};
use edge::OwnResponse;
use rules::codec::form::encoded;
use serde_json::{Value, json};

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

/// Both kinds of cookies, with both kinds of navigations that no page of the app began.
fn from_outside() -> [(Value, Source); 4] {
    let strict = json!({ "cookie": { "keys": [crate::host::KEYS[0]], "sameSite": "strict" } });
    [
        (json!({}), Source::CrossSite),
        (json!({}), Source::Browser),
        (strict.clone(), Source::CrossSite),
        (strict, Source::Browser),
    ]
}

// claim: handler-11
#[test]
fn login_from_outside_the_app_ends_on_a_link() {
    for (config, source) in from_outside() {
        for path in [
            "/api/files/a?b=1",
            "/auth/login?returnTo=/api/files/a?b=1",
            "/auth/login?prompt=none&returnTo=/api/files/a?b=1",
            "/auth/login?returnTo=/.//api/files/a?b=1",
            "/auth/login?returnTo=/x/..//api/files/a?b=1",
            "/auth/login?returnTo=/.///api/files/a?b=1",
            "/auth/login?returnTo=https://app.example.com//api/files/a?b=1",
        ] {
            let mut host = Host::with(&config);
            let response = host.go_through_login(path, source);
            let link = link_in(&response);
            assert_eq!(
                without_click(&link),
                "/api/files/a?b=1",
                "{path} {source:?}"
            );
            assert!(page_of(&response).contains("<h1>You are signed in</h1>"));
            assert!(host.upstream.is_empty());
            // The user clicks the link.
            assert_eq!(host.go(&link, Source::App).status(), 200);
        }
    }
}

#[test]
fn login_from_outside_the_app_waits_at_each_spelling_of_a_route() {
    for (config, source) in from_outside() {
        for path in [
            "/%61pi/files/a",
            "/%2561pi/files/a",
            "/Api/files/a",
            "/api;x/files/a",
        ] {
            let mut host = Host::with(&config);
            let login = ["/auth/login?returnTo=", &encoded(path)].concat();
            let response = host.go_through_login(&login, source);
            assert_eq!(link_in(&response), path, "{source:?}");
            assert!(page_of(&response).contains("Continue only if"), "{path}");
        }
    }
}

// claim: handler-11
#[test]
fn login_from_outside_the_app_leads_to_no_other_login() {
    for (config, source) in from_outside() {
        for path in [
            "/auth/login?returnTo=/auth/login%3FreturnTo=/api/files/a",
            "/auth/login?returnTo=/.//auth/login%3FreturnTo=/api/files/a",
            "/auth/login?returnTo=/%2561uth/login%3FreturnTo=/api/files/a",
            // Servers may resolve these paths to that of another login.
            "/auth/login?returnTo=/.;/auth/login",
            "/auth/login?returnTo=/x/..%252fauth/login",
        ] {
            let mut host = Host::with(&config);
            let response = host.go_through_login(path, source);
            let target = match response.status {
                303 => location(&response).to_owned(),
                _ => refreshed_to(&response),
            };
            assert_eq!(target, "/", "{path} {source:?}");
        }
    }
}

#[test]
fn login_from_outside_forwards_beyond_own_routes() {
    for (config, source) in from_outside() {
        let mut host = Host::with(&config);
        let response = host.go_through_login("/auth/login?returnTo=/other/files/a", source);
        let target = match response.status {
            303 => location(&response).to_owned(),
            _ => refreshed_to(&response),
        };
        assert_eq!(target, "/other/files/a", "{source:?}");
    }
}

#[test]
fn login_of_the_app_forwards_to_a_route() {
    let mut host = Host::new();
    let back = host.come_back("/auth/login?returnTo=/api/files/a");
    assert_eq!(refreshed_to(&host.arrive(&back)), "/api/files/a");
}

// claim: handler-11
#[test]
fn failed_login_from_outside_is_repeated_as_such() {
    let own = "/auth/login?returnTo=%2Fapi%2Ffiles%2Fa";
    let outside = "/auth/login?returnTo=%2Fapi%2Ffiles%2Fa&outside=";
    for (source, again) in [
        (Source::App, own),
        (Source::Browser, outside),
        (Source::CrossSite, outside),
    ] {
        let mut host = Host::new();
        let response = host.go("/auth/login?returnTo=/api/files/a", source).own();
        let back = host.provider.sign_in(location(&response));
        host.provider.replies.push_back(("/token", None));
        let response = host.arrive(&back);
        assert_eq!(response.status, 503);
        assert_eq!(link_in(&response), again, "{source:?}");
        let back = host.come_back(again);
        let response = host.arrive(&back);
        let is_forwarded = page_of(&response).contains("http-equiv");
        assert_eq!(is_forwarded, source == Source::App, "{source:?}");
    }
}

/// Returns the page in a response.
pub(crate) fn page_of(response: &OwnResponse) -> &str {
    let (kind, page) = response.body.as_ref().unwrap();
    assert_eq!(*kind, "text/html; charset=utf-8");
    page
}

/// Returns the target of the first link in a page that does not forward the browser.
pub(crate) fn link_in(response: &OwnResponse) -> String {
    let page = page_of(response);
    assert!(!page.contains("http-equiv"), "{page}");
    let (_, rest) = page.split_once(r#"<a href=""#).unwrap();
    rest.split_once('"').unwrap().0.replace("&amp;", "&")
}

/// Returns the path of a link without the value that proves a click.
pub(crate) fn without_click(link: &str) -> &str {
    let path = link.strip_prefix(crate::host::APP).unwrap();
    let (path, _) = path.split_once("strongroom-click=").unwrap();
    path.trim_end_matches(['?', '&'])
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

// claim: handler-11
#[test]
fn only_navigation_from_the_app_carries_a_token() {
    let strict = json!({ "cookie": { "keys": [crate::host::KEYS[0]], "sameSite": "strict" } });
    for config in [json!({}), strict] {
        for (path, site, status) in [
            ("/api/files/a", Some("same-origin"), 200),
            ("/api/files/a", Some("none"), 403),
            ("/api/files/a", Some("same-site"), 403),
            ("/api/files/a", Some("cross-site"), 403),
            ("/api/files/a", None, 403),
            ("/api/orders", Some("same-origin"), 403),
            ("/api/orders", Some("none"), 403),
        ] {
            let mut host = Host::signed_in_with(&config);
            let mut request = host.navigation(path, Source::App);
            request.site = site.map(str::to_owned);
            let answered = host.request(request);
            assert_eq!(answered.status(), status, "{path} {site:?}");
            let sent = usize::from(status == 200);
            assert_eq!(host.upstream.len(), sent, "{path} {site:?}");
            if path == "/api/files/a" && status == 403 {
                let link = link_in(&answered.own());
                assert_eq!(without_click(&link), "/api/files/a");
                assert_eq!(host.go(&link, Source::App).status(), 200);
                let sent = host.upstream.last().unwrap();
                assert_eq!(sent.url, "https://files.example.com/a");
            }
        }
    }
}

#[test]
fn page_with_link_shows_the_address_as_text() {
    let mut host = Host::signed_in();
    host.restart(&json!({ "routes": [{
        "prefix": "/",
        "upstream": "https://files.example.com/",
        "navigate": true,
    }] }));
    let url = crate::host::APP.to_owned() + "//evil.example/'x'?a=%3Cb%3E&c='d'#e";
    let response = host.go(&url, Source::Browser).own();
    let page = page_of(&response);
    let shown = "//evil.example/&#39;x&#39;?a=%3Cb%3E&amp;c=%27d%27";
    let href = format!(r#"<a href="https://app.example.com{shown}&amp;strongroom-click="#);
    assert!(page.contains(&href), "{page}");
    assert!(page.contains(&format!(r##"#e">{shown}#e</a>"##)), "{page}");
    assert!(!page.contains("<script") && !page.contains("http-equiv"));
    let csp = header(&response, "content-security-policy").unwrap();
    assert!(csp.contains("default-src 'none'") && csp.contains("frame-ancestors 'none'"));
    assert!(!csp.contains("sandbox"), "{csp}");
    assert!(
        response
            .headers
            .iter()
            .all(|(name, _)| *name != "cache-control")
    );
}

#[test]
fn link_shows_only_the_beginning_of_long_paths() {
    for (length, is_cut) in [(200, false), (201, true)] {
        let mut host = Host::signed_in();
        let path = "/api/files/".to_owned() + &"a".repeat(length - 11);
        let response = host.go(&path, Source::CrossSite).own();
        assert_eq!(without_click(&link_in(&response)), path);
        let shown = [&path[..200], if is_cut { "…" } else { "" }].concat();
        let shown = [">", &shown, "</a>"].concat();
        assert!(page_of(&response).contains(&shown), "{length}");
    }
}

// claim: handler-11
#[test]
fn window_opener_loses_pages_that_wait_for_clicks() {
    let policy = |response: &OwnResponse| {
        let is_late = page_of(response).contains("@keyframes");
        let policy = header(response, "cross-origin-opener-policy");
        (is_late, policy.map(str::to_owned))
    };
    let alone = (true, Some("same-origin".to_owned()));
    let mut host = Host::signed_in();
    let response = host.go("/api/files/a", Source::CrossSite).own();
    assert_eq!(policy(&response), alone);
    let response = Host::new().go_through_login("/api/files/a", Source::CrossSite);
    assert_eq!(policy(&response), alone);
    // The opener of a login's window may wait for it.
    let mut host = Host::new();
    let back = host.come_back("/auth/login?returnTo=/api/files/a");
    assert_eq!(policy(&host.arrive(&back)), (false, None));
}

/// A site that opens a route in a window could otherwise see by `window.closed` if the user is signed in.
// claim: handler-13
#[test]
fn window_opener_cannot_tell_if_the_user_is_signed_in() {
    let policy =
        |response: &OwnResponse| header(response, "cross-origin-opener-policy").map(str::to_owned);
    for path in ["/api/files/a", "/api/orders", "/api/files/..%2fa"] {
        for mut host in [Host::new(), Host::signed_in()] {
            let response = host.go(path, Source::CrossSite).own();
            assert_eq!(policy(&response).as_deref(), Some("same-origin"), "{path}");
        }
        let mut host = Host::signed_in();
        host.pass(1800);
        let response = host.go(path, Source::CrossSite).own();
        assert_eq!(policy(&response).as_deref(), Some("same-origin"), "{path}");
    }
    for url in ["/auth/callback", "/auth/callback?code=c&state=s"] {
        for mut host in [Host::new(), Host::signed_in()] {
            let response = host.go(url, Source::CrossSite).own();
            assert_eq!(policy(&response).as_deref(), Some("same-origin"), "{url}");
        }
    }
    // The opener of a login's window may wait for it.
    let mut host = Host::new();
    let response = host.go("/auth/login", Source::App).own();
    assert_eq!(policy(&response), None);
    let back = host.provider.sign_in(location(&response));
    assert_eq!(policy(&host.arrive(&back)), None);
}

/// Script in a page of the app could otherwise read the response to an attacker's login in a window: no response of the
/// handler at this address may be a document to which that page has a reference.
// claim: handler-4
#[test]
fn window_opener_reads_no_response_to_an_attackers_login() {
    let is_severed = |answered: Answered| {
        let response = answered.own();
        let policy = header(&response, "cross-origin-opener-policy");
        policy == Some("same-origin")
    };
    for same_site in ["lax", "strict"] {
        let config = json!({ "cookie": { "keys": [KEYS[0]], "sameSite": same_site } });
        let back = Host::with(&config).come_back("/auth/login");
        for from in [
            Source::CrossSite,
            Source::Browser,
            Source::App,
            Source::Click,
        ] {
            let mut host = Host::signed_in_with(&config);
            assert!(is_severed(host.go(&back, from)), "{same_site} {from:?}");
        }
        let mut host = Host::signed_in_with(&config);
        assert!(is_severed(
            host.go_without_metadata(&back, Source::CrossSite)
        ));
        // What a service worker sends in place of a navigation, a form, and other requests.
        for (method, mode, dest) in [
            ("GET", "navigate", "empty"),
            ("GET", "same-origin", "empty"),
            ("GET", "navigate", "object"),
            ("POST", "navigate", "document"),
        ] {
            let mut request = host.navigation(&back, Source::App);
            request.method = method.to_owned();
            request.mode = Some(mode.to_owned());
            request.dest = Some(dest.to_owned());
            assert!(is_severed(host.request(request)), "{method} {mode} {dest}");
        }
        // The opener of a window in which the app's own login takes place may wait for it.
        let mut host = Host::with(&config);
        let back = host.come_back("/auth/login");
        assert!(!is_severed(host.go(&back, Source::CrossSite)));
    }
}

// claim: handler-57
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
fn routes() -> Value {
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
