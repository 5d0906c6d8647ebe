//! Sealed and stored values of another version of the handler, such as during a rolling deployment. A value counts as missing
//! only where that is safe.

use rules::Code;
use serde_json::json;

use crate::back_channel;
use crate::browser::{Browser, Source};
use crate::device::{self, CALL, Device};
use crate::host::{COOKIE, Host, LOGIN_COOKIE, location};
use crate::orders::{admin, ann, end_of, replace};
use crate::provider;

/// A part of the purposes of the sessions' cookies.
const SESSION: (&str, usize) = (" session https:", 0);

/// A part of the purposes of the sessions' records.
const RECORD: (&str, usize) = (" session.", 0);

/// The line at which the session begins in a record.
const INNER: usize = 8;

const STORAGES: [&str; 2] = ["sealed-in-cookie", "in-store"];

fn stored_in(storage: &str) -> serde_json::Value {
    json!({ "session": { "storage": storage, "recheck": 0 } })
}

/// Changes the version of a value.
fn with_other_version(value: &str) -> String {
    let rest = value.strip_prefix('1').unwrap();
    ["2", rest].concat()
}

fn has_logged(host: &mut Host, code: Code) -> bool {
    let messages = host.fault_messages();
    let is_version = messages
        .iter()
        .any(|it| it.contains("version of the handler"));
    is_version && host.faults().contains(&code)
}

#[test]
fn session_cookie_is_ignored() {
    for storage in STORAGES {
        for kinds in [vec![SESSION], vec![]] {
            let mut host = Host::with(&stored_in(storage));
            host.other_versions = kinds.clone();
            host.sign_in();
            if kinds.is_empty() {
                // The version of the sealed form.
                for cookie in &mut host.browser.0 {
                    cookie.value = with_other_version(&cookie.value);
                }
            }
            assert!(host.session().is_null());
            assert!(has_logged(&mut host, Code::CookieInvalid), "{storage}");
        }
    }
}

#[test]
fn record_is_unreachable_for_its_session_alone() {
    for version_of in ["record", "session", "seal"] {
        let mut host = Host::with(&stored_in("in-store"));
        host.sign_in();
        let other = core::mem::take(&mut host.browser);
        let known: Vec<String> = host.store.keys().cloned().collect();
        host.other_versions = match version_of {
            "record" => vec![RECORD],
            "session" => vec![(RECORD.0, INNER)],
            _ => Vec::new(),
        };
        host.sign_in();
        host.other_versions.clear();
        if version_of == "seal" {
            let mut entries = host.store.iter_mut();
            let (_, entry) = entries.find(|(key, _)| !known.contains(key)).unwrap();
            entry.value = with_other_version(&entry.value);
        }
        host.restart(&json!({}));
        let answered = host.call("GET", "/api/orders");
        assert_eq!(answered.status(), 503, "{version_of}");
        assert!(has_logged(&mut host, Code::CoordinatorUnavailable));
        // The coordinator is in use.
        let own = core::mem::replace(&mut host.browser, other);
        assert_eq!(host.call("GET", "/api/orders").status(), 200);
        host.browser = own;
        assert_eq!(host.call("GET", "/api/orders").status(), 503);
        assert_eq!(host.count("Swap"), 2, "the two logins");
    }
}

#[test]
fn unreadable_record_prevents_a_refresh() {
    let mut host = Host::with(&stored_in("sealed-in-cookie"));
    host.sign_in();
    let early = host.browser.clone();
    host.other_versions = vec![RECORD];
    host.pass(700);
    host.call("GET", "/api/orders");
    let sent = host.provider.sent_to("/token").len();
    assert_eq!(sent, 2, "a login and a refresh");
    host.browser = early;
    host.restart(&json!({}));
    assert_eq!(host.call("GET", "/api/orders").status(), 503);
    assert_eq!(host.provider.sent_to("/token").len(), sent);
}

#[test]
fn end_is_unreachable_for_its_user_alone() {
    let mut host = Host::signed_in_with(&admin());
    let own = host.browser.clone();
    host.provider.subject = "bob".to_owned();
    host.browser = Browser::default();
    host.sign_in();
    let other = core::mem::replace(&mut host.browser, own);
    host.end(&ann(), &json!({})).unwrap();
    replace(&mut host, "end subject", with_other_version);
    assert_eq!(end_of(&mut host), "", "a valid token is used");
    assert!(has_logged(&mut host, Code::CoordinatorUnavailable));
    host.pass(700);
    assert_eq!(host.call("GET", "/api/orders").status(), 503);
    host.browser = other;
    assert_eq!(host.call("GET", "/api/orders").status(), 200);
}

#[test]
fn login_is_refused_while_an_end_is_unreadable() {
    let mut host = Host::with(&admin());
    host.end(&ann(), &json!({})).unwrap();
    replace(&mut host, "end subject", with_other_version);
    let back = host.come_back("/auth/login");
    let response = host.come_in(&back);
    assert_eq!(response.status, 503);
    assert_eq!(host.browser.count(COOKIE), 0);
    assert_eq!(host.provider.sent_to("/revoke").len(), 1);
    host.failing = vec!["Read"];
    host.sign_in();
    assert_eq!(host.browser.count(COOKIE), 1);
}

#[test]
fn unreadable_end_is_not_replaced() {
    let mut host = Host::signed_in_with(&admin());
    host.end(&ann(), &json!({})).unwrap();
    replace(&mut host, "end subject", with_other_version);
    let before = host.store.clone();
    assert_eq!(host.end(&ann(), &json!({})).unwrap(), "false");
    let token = back_channel::token(&host, &json!({ "sid": null }));
    assert_eq!(host.post_logout_token(&token).status, 503);
    assert_eq!(host.store, before);
}

#[test]
fn order_in_an_end_counts_by_its_times() {
    let mut host = Host::signed_in_with(&admin());
    host.other_versions = vec![(" end subject.", 0)];
    host.end(&ann(), &json!({})).unwrap();
    host.pass(2);
    assert_eq!(end_of(&mut host), "logged_out");
    host.sign_in();
    assert_eq!(end_of(&mut host), "");
}

#[test]
fn order_about_one_session_ends_it() {
    let mut host = Host::signed_in_with(&admin());
    host.other_versions = vec![(" end session.", 0)];
    let target = json!({ "session": host.session_id() });
    host.end(&target, &json!({ "reason": "security" })).unwrap();
    host.pass(2);
    assert_eq!(end_of(&mut host), "logged_out");
}

#[test]
fn line_of_a_list_is_left_out() {
    let mut host = Host::with(&admin());
    host.other_versions = vec![(" sessions.", 0)];
    host.sign_in();
    host.other_versions.clear();
    assert!(host.sessions("ann").unwrap().is_empty());
    host.sign_in();
    assert_eq!(host.sessions("ann").unwrap().len(), 1);
}

#[test]
fn login_of_another_version_begins_again_once() {
    let mut host = Host::new();
    host.other_versions = vec![(" login ", 0)];
    let back = host.come_back("/auth/login?returnTo=/orders");
    host.other_versions.clear();
    let response = host.arrive(&back);
    assert_eq!(response.status, 303);
    assert!(has_logged(&mut host, Code::CookieInvalid));
    assert_eq!(host.browser.count(LOGIN_COOKIE), 1);
    let back = host.provider.sign_in(location(&response));
    assert_eq!(location(&host.come_in(&back)), "/");
    assert!(host.session().is_object());

    let mut host = Host::new();
    host.other_versions = vec![(" login ", 0)];
    let back = host.come_back("/auth/login");
    let response = host.arrive(&back);
    let back = host.provider.sign_in(location(&response));
    let (_, page) = host.come_in(&back).body.unwrap();
    assert!(page.contains("login_unknown"), "{page}");
    assert_eq!(host.browser.count(LOGIN_COOKIE), 0);
}

#[test]
fn failed_login_does_not_begin_again() {
    let mut host = Host::new();
    host.other_versions = vec![(" login ", 0)];
    let url = host.begin_login("/auth/login");
    let (_, query) = url.split_once('?').unwrap();
    let state = &provider::params(query)["state"];
    let back = format!("/auth/callback?error=access_denied&state={state}");
    let (_, page) = host.come_in(&back).body.unwrap();
    assert!(page.contains("login_unknown"), "{page}");
}

#[test]
fn logout_cookie_leads_to_the_provider_without_a_hint() {
    let mut host = Host::signed_in();
    host.other_versions = vec![(" logout", 0)];
    host.call("POST", "/auth/logout");
    let response = host.go("/auth/logout/provider", Source::App).own();
    let (address, query) = location(&response).split_once('?').unwrap();
    assert!(address.starts_with(provider::ISSUER));
    assert!(!provider::params(query).contains_key("id_token_hint"));
}

#[test]
fn link_for_a_click_asks_again() {
    let mut host = Host::signed_in();
    host.go("/api/files/a", Source::CrossSite);
    let page = |host: &mut Host, url: &str| {
        let response = host.go_without_metadata(url, Source::App).own();
        response.body.map(|(_, page)| page).unwrap_or_default()
    };
    let asked = page(&mut host, "/api/files/a");
    let (_, rest) = asked.split_once("strongroom-click=").unwrap();
    let (value, _) = rest.split_once('"').unwrap();
    let address = ["/api/files/a?strongroom-click=", &with_other_version(value)].concat();
    assert!(page(&mut host, &address).contains("strongroom-click="));
}

#[test]
fn readable_end_counts_beside_an_unreadable_one() {
    let provider_session = json!({ "providerSession": "op-session-ann" });
    for unreadable in ["end subject", "end sid"] {
        let mut host = Host::signed_in_with(&admin());
        for target in [ann(), provider_session.clone()] {
            let options = json!({ "reason": "security" });
            host.end(&target, &options).unwrap();
        }
        replace(&mut host, unreadable, with_other_version);
        assert_eq!(end_of(&mut host), "security", "{unreadable}");
    }
}

#[test]
fn logout_is_written_while_an_end_is_unreadable() {
    for storage in STORAGES {
        let mut config = admin();
        config["session"]["storage"] = json!(storage);
        let mut host = Host::with(&config);
        // The order came before the login.
        host.end(&ann(), &json!({})).unwrap();
        host.sign_in();
        assert_eq!(host.call("GET", CALL).status(), 200);
        let copy = host.browser.clone();
        replace(&mut host, "end subject", with_other_version);
        host.call("POST", "/auth/logout");
        host.restart(&json!({}));
        host.browser = copy;
        assert_eq!(end_of(&mut host), "logged_out", "{storage}");
    }
}

#[test]
fn unwritten_end_keeps_its_isolate_alive() {
    let mut host = Host::with(&stored_in("sealed-in-cookie"));
    host.sign_in();
    host.pass(700);
    host.call("GET", CALL);
    replace(&mut host, "session", with_other_version);
    assert!(!host.handler.holds_unwritten(host.now));
    host.call("POST", "/auth/logout");
    assert!(host.handler.holds_unwritten(host.now));
}

/// Returns the host of a bound session, and a copy of its cookie from before the binding.
fn bound_with_copy() -> (Host, Browser) {
    let mut config = device::binding("if-supported");
    config["session"] = json!({ "bind": "if-supported", "admin": true, "recheck": 0 });
    let mut host = Host::with(&config);
    let offer = device::sign_in(&mut host).unwrap();
    let mut copy = host.browser.clone();
    copy.0.retain(|cookie| cookie.name == COOKIE);
    Device::new().register(&mut host, &offer);
    host.call("GET", CALL);
    let options = json!({ "spare": [host.session_id()] });
    host.end(&ann(), &options).unwrap();
    host.restart(&json!({}));
    (host, copy)
}

#[test]
fn binding_is_known_while_an_end_is_unreadable() {
    let (mut host, copy) = bound_with_copy();
    host.pass(device::IN_FLIGHT + 30);
    replace(&mut host, "end subject", with_other_version);
    device::assert_refused(&device::call_as(&mut host, &copy));
}

#[test]
fn copy_gets_no_id_token_while_the_record_is_unreadable() {
    for is_unreadable in [true, false] {
        let (mut host, copy) = bound_with_copy();
        // The access token has expired.
        host.pass(700);
        if is_unreadable {
            replace(&mut host, "session", with_other_version);
        }
        host.browser = copy;
        host.call("POST", "/auth/logout");
        let response = host.go("/auth/logout/provider", Source::App).own();
        assert!(!location(&response).contains("id_token_hint"));
    }
}

#[test]
fn login_with_demands_does_not_begin_again() {
    for option in ["prompt=login", "max_age=0", "acr_values=high"] {
        let mut host = Host::new();
        host.other_versions = vec![(" login ", 0)];
        let back = host.come_back(&["/auth/login?", option].concat());
        host.other_versions.clear();
        let (_, page) = host.come_in(&back).body.unwrap();
        assert!(page.contains("login_unknown"), "{option}");
    }
}
