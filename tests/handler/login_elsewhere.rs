//! A login that another site begins (OpenID Connect Core 1.0 4). No other site may switch the user, sign in a user who has
//! signed out, or choose where the login leads.

use crate::browser::Source;
use crate::callback::refreshed_to;
use crate::host::{APP, COOKIE, Host, location};
use crate::provider::{self, ISSUER};
use edge::{OwnResponse, Request};
use rules::base::error::Code;
use rules::codec::form::Form;
use serde_json::{Value, json};

const OUTSIDE: [Source; 2] = [Source::CrossSite, Source::Browser];

/// Both kinds of cookies.
fn kinds() -> [Value; 2] {
    let strict = json!({ "cookie": { "keys": [crate::host::KEYS[0]], "sameSite": "strict" } });
    [json!({}), strict]
}

fn query(parameters: &[(&str, &str)]) -> String {
    let mut form = Form::new();
    for (name, value) in parameters {
        form.push(name, value);
    }
    form.finish()
}

/// Follows the handler's page, which repeats the request from the app's own origin.
#[track_caller]
fn repeated(host: &mut Host, page: &OwnResponse) -> OwnResponse {
    let again = refreshed_to(page);
    host.go(&again, Source::App).own()
}

/// Opens a link of another site, and follows the handler's page.
#[track_caller]
fn open(host: &mut Host, parameters: &[(&str, &str)], from: Source) -> OwnResponse {
    let url = ["/auth/login?", &query(parameters)].concat();
    let page = host.go(&url, from).own();
    assert!(host.browser.get(crate::mark::MARK).is_some());
    repeated(host, &page)
}

fn form(host: &mut Host, body: &str) -> OwnResponse {
    host.body = Some(body.to_owned());
    let request = Request {
        method: "POST".to_owned(),
        origin: Some("https://portal.example.com".to_owned()),
        has_body: true,
        ..host.navigation("/auth/login", Source::CrossSite)
    };
    host.request(request).own()
}

/// Returns the path to which the user comes after signing in.
#[track_caller]
fn signed_in_at(host: &mut Host, begun: &OwnResponse) -> String {
    let back = host.provider.sign_in(location(begun));
    let mut response = host.arrive(&back);
    if response.status == 200 {
        response = host
            .go(&[back, "&again".to_owned()].concat(), Source::App)
            .own();
    }
    assert!(host.session().is_object());
    if response.status == 200 {
        return refreshed_to(&response);
    }
    location(&response).to_owned()
}

#[test]
fn portal_signs_the_user_in() {
    for config in kinds() {
        for from in OUTSIDE {
            let mut host = Host::with(&config);
            let target = [APP, "/orders?page=2"].concat();
            let parameters = [
                ("iss", ISSUER),
                ("login_hint", "ann@example.com"),
                ("target_link_uri", &target),
                ("prompt", "none"),
                ("returnTo", "/elsewhere"),
            ];
            let begun = open(&mut host, &parameters, from);
            let (_, sent) = location(&begun).split_once('?').unwrap();
            let sent = provider::params(sent);
            assert_eq!(sent["login_hint"], "ann@example.com");
            assert!(!sent.contains_key("prompt") && !sent.contains_key("iss"));
            assert_eq!(signed_in_at(&mut host, &begun), "/orders?page=2");
        }
    }
}

#[test]
fn form_of_a_portal_signs_the_user_in() {
    for config in kinds() {
        let mut host = Host::with(&config);
        let page = form(
            &mut host,
            &query(&[("iss", ISSUER), ("target_link_uri", APP)]),
        );
        let begun = repeated(&mut host, &page);
        assert_eq!(signed_in_at(&mut host, &begun), "/");
    }
}

// claim: handler-18
#[test]
fn session_is_kept() {
    for config in kinds() {
        for from in OUTSIDE {
            let mut host = Host::signed_in_with(&config);
            let parameters = [
                ("iss", ISSUER),
                ("target_link_uri", "/orders"),
                ("login_hint", "eve"),
            ];
            let response = open(&mut host, &parameters, from);
            assert_eq!(location(&response), "/orders");
            let page = form(&mut host, &query(&parameters));
            assert_eq!(location(&repeated(&mut host, &page)), "/orders");
            assert_eq!(host.session()["claims"]["sub"], "ann");
        }
    }
}

#[test]
fn kept_session_gets_its_new_cookie() {
    let mut host = Host::signed_in();
    host.pass(700);
    let response = open(&mut host, &[("iss", ISSUER)], Source::CrossSite);
    assert_eq!(location(&response), "/");
    let [cookie] = &response.cookies[..] else {
        panic!("{response:?}");
    };
    assert!(cookie.starts_with(COOKIE), "{cookie}");
}

// claim: handler-18
#[test]
fn repetition_of_another_site_does_not_count() {
    let [_, strict] = kinds();
    let mut host = Host::signed_in_with(&strict);
    let url = ["/auth/login?repeated=&", &query(&[("iss", ISSUER)])].concat();
    for from in OUTSIDE {
        let page = host.go(&url, from).own();
        assert_eq!(page.status, 200);
        assert_eq!(location(&repeated(&mut host, &page)), "/");
    }
}

#[test]
fn browser_without_fetch_metadata_gets_through() {
    let mut host = Host::new();
    let ask = |host: &mut Host, url: &str| host.go_without_metadata(url, Source::App).own();
    let page = ask(
        &mut host,
        &["/auth/login?", &query(&[("iss", ISSUER)])].concat(),
    );
    let begun = ask(&mut host, &refreshed_to(&page));
    assert_eq!(signed_in_at(&mut host, &begun), "/");
}

/// Checks that the page waits for a click, and returns the address of its link.
#[track_caller]
fn link(response: &OwnResponse) -> String {
    let (_, html) = response.body.as_ref().unwrap();
    assert!(
        !html.contains("http-equiv") && !html.contains("<script"),
        "{html}"
    );
    let (_, rest) = html.split_once("<a href=\"").unwrap();
    rest.split_once('"').unwrap().0.replace("&amp;", "&")
}

// claim: handler-18
#[test]
fn signed_out_user_is_asked() {
    for config in kinds() {
        for end in ["logout", "idle", "seen idle"] {
            let mut host = Host::signed_in_with(&config);
            match end {
                "logout" => {
                    host.call("POST", "/auth/logout");
                }
                "idle" => host.pass(1800),
                _ => {
                    host.pass(1800);
                    assert!(host.session().is_null());
                }
            }
            let parameters = [
                ("iss", ISSUER),
                ("target_link_uri", "/orders"),
                ("login_hint", "a&b"),
            ];
            let response = open(&mut host, &parameters, Source::CrossSite);
            let url = link(&response);
            assert_eq!(url, "/auth/login?returnTo=%2Forders&outside=", "{end}");
            let begun = host.go(&url, Source::Click).own();
            assert_eq!(signed_in_at(&mut host, &begun), "/orders");
            // The login makes the next one possible without a click.
            host.browser.0.retain(|cookie| {
                !cookie.name.starts_with(COOKIE) || cookie.name.ends_with("-left")
            });
            let begun = open(&mut host, &parameters, Source::CrossSite);
            assert!(location(&begun).starts_with(ISSUER), "{end}");
        }
    }
}

#[test]
fn end_by_the_provider_needs_no_click() {
    let mut host = Host::signed_in();
    let token = crate::back_channel::token_of(&host);
    assert_eq!(host.post_logout_token(&token).status, 200);
    let begun = open(&mut host, &[("iss", ISSUER)], Source::CrossSite);
    assert!(location(&begun).starts_with(ISSUER));
}

#[test]
fn other_issuer_is_refused() {
    for issuer in ["https://evil.test", "https://id.example.com/", ""] {
        for mut host in [Host::new(), Host::signed_in()] {
            let response = open(&mut host, &[("iss", issuer)], Source::CrossSite);
            assert_eq!(response.status, 400, "{issuer}");
            assert_eq!(host.faults(), [Code::IssuerMismatch]);
        }
    }
}

// claim: handler-18
#[test]
fn targets_outside_the_apps_pages_are_dropped() {
    for target in [
        "https://evil.test/",
        "//evil.test/",
        "/\\evil.test",
        "javascript:alert(1)",
        "https://app.example.com@evil.test/",
        "/api/files/a",
        "/auth/login?returnTo=/x",
        "/auth/logout/provider",
        "/x/../auth/login",
        "/%61pi/files/a",
        "/%61uth/login",
        "/api%2Ffiles/a",
        "/api//files/a",
        "/%2561pi/files/a",
        "/x/%2e%2e/api/files/a",
        "/API/files/a",
        "/Auth/login",
        "/.;/api/files/a",
        "/api;a=b/files/a",
        "/api./files/a",
        "/x/..;/api/files/a",
        "/auth%20/login",
        "/auth/callback",
    ] {
        for from in [Source::CrossSite, Source::Browser, Source::App] {
            let mut host = Host::signed_in();
            let url = [
                "/auth/login?",
                &query(&[("iss", ISSUER), ("target_link_uri", target)]),
            ]
            .concat();
            let mut response = host.go(&url, from).own();
            if from != Source::App {
                response = repeated(&mut host, &response);
            }
            assert_eq!(location(&response), "/", "{target}");
            assert_eq!(host.faults(), [Code::MessageInvalid], "{target}");
        }
    }
}

#[test]
fn unreadable_session_is_not_replaced() {
    let mut host = Host::signed_in_with(&json!({ "session": { "storage": "in-store" } }));
    host.restart(&json!({}));
    host.failing = vec!["Read"];
    let response = open(&mut host, &[("iss", ISSUER)], Source::CrossSite);
    assert_eq!(response.status, 503);
    host.failing.clear();
    host.pass(2);
    assert_eq!(host.session()["claims"]["sub"], "ann");
}

#[test]
fn malformed_requests_have_own_errors() {
    let mut host = Host::new();
    let twice = query(&[("iss", ISSUER), ("iss", ISSUER)]);
    assert_eq!(
        host.go(&["/auth/login?", &twice].concat(), Source::CrossSite)
            .status(),
        400
    );
    assert_eq!(form(&mut host, &twice).status, 400);
    assert_eq!(form(&mut host, "login_hint=ann").status, 400);
    assert_eq!(
        form(&mut host, &["iss=", &"x".repeat(20_000)].concat()).status,
        400
    );
    // A script and a frame cannot begin a login, not even by a form.
    for (mode, dest) in [("cors", "empty"), ("navigate", "iframe")] {
        host.body = Some(query(&[("iss", ISSUER)]));
        let request = Request {
            method: "POST".to_owned(),
            mode: Some(mode.to_owned()),
            dest: Some(dest.to_owned()),
            has_body: true,
            ..host.navigation("/auth/login", Source::CrossSite)
        };
        assert_eq!(host.request(request).status(), 405);
    }
}

#[test]
fn sign_out_without_a_session_is_remembered() {
    let mut host = Host::signed_in();
    host.browser.0.clear();
    host.call("POST", "/auth/logout");
    link(&open(&mut host, &[("iss", ISSUER)], Source::CrossSite));
}

#[test]
fn request_of_another_site_is_no_activity() {
    let mut host = Host::signed_in();
    for _ in 0..4 {
        host.pass(500);
        open(&mut host, &[("iss", ISSUER)], Source::CrossSite);
    }
    assert!(host.session().is_null());
}

#[test]
fn strict_cookie_without_fetch_metadata_needs_a_click() {
    let [_, strict] = kinds();
    let mut host = Host::signed_in_with(&strict);
    let url = ["/auth/login?repeated=&", &query(&[("iss", ISSUER)])].concat();
    link(&host.go_without_metadata(&url, Source::CrossSite).own());
}
