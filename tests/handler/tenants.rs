//! Several tenants with one issuer, client and keyring: nothing of one tenant is valid at another one.

use edge::{Config, Handler};
use serde_json::json;

use crate::back_channel::token_of;
use crate::browser::Source;
use crate::host::{Host, configuration, json_of};

/// Replaces the isolate by one of this tenant. Cookies keep their names, so that they reach the handler.
fn become_tenant(host: &mut Host, name: &str, seed: u64) {
    let mut config = Config::parse(&configuration(&json!({})).to_string()).unwrap();
    config.tenant = name.to_owned();
    host.handler = Handler::new(config, Box::new(kit::dice::Dice::new(seed)));
}

fn signed_in_at(name: &str) -> Host {
    let mut host = Host::new();
    become_tenant(&mut host, name, 1);
    host.sign_in();
    host
}

#[test]
fn every_purpose_names_the_tenant() {
    let mut host = signed_in_at("one");
    // A page that waits for a click, and the record of the end.
    host.go("/api/files/a", Source::Browser);
    host.call("POST", "/auth/logout");
    assert!(host.sealed.len() >= 4, "{:?}", host.sealed);
    for (purpose, _) in &host.sealed {
        assert!(purpose.contains(" 3 one "), "{purpose}");
    }
}

// claim: handler-70
#[test]
fn session_is_valid_at_its_own_tenant() {
    let mut host = signed_in_at("one");
    for (name, is_valid) in [("two", false), ("", false), ("on", false), ("one", true)] {
        become_tenant(&mut host, name, 2);
        let answered = host.request_elsewhere(host.by_script("GET", "/api/x"));
        let status = if is_valid { 200 } else { 401 };
        assert_eq!(answered.status(), status, "{name}");
    }
}

// claim: handler-70
#[test]
fn login_of_one_tenant_does_not_end_at_another() {
    for (name, is_valid) in [("two", false), ("one", true)] {
        let mut host = Host::new();
        become_tenant(&mut host, "one", 1);
        let back = host.come_back("/auth/login");
        become_tenant(&mut host, name, 2);
        assert_eq!(host.come_in(&back).status == 303, is_valid, "{name}");
    }
}

// claim: handler-70
#[test]
fn logout_token_of_one_tenant_ends_no_session_of_another() {
    for (name, is_over) in [("two", false), ("one", true)] {
        let mut host = signed_in_at("one");
        become_tenant(&mut host, name, 2);
        let token = token_of(&host);
        assert_eq!(host.post_logout_token(&token).status, 200);
        become_tenant(&mut host, "one", 3);
        let response = host.call("GET", "/auth/session").own();
        assert_eq!(json_of(&response)["session"].is_null(), is_over, "{name}");
    }
}

#[test]
fn cookie_names_differ_and_have_one_length() {
    let name_of = |tenant: &str| {
        let config = Config::parse(&configuration(&json!({})).to_string()).unwrap();
        config.with_tenant(tenant.to_owned()).cookie.name
    };
    let names = ["one", "two", "login-one", "a name with 日本"].map(name_of);
    for (i, name) in names.iter().enumerate() {
        assert_eq!(name.len(), "strongroom-".len() + 12, "{name}");
        assert!(!names[i + 1..].contains(name));
    }
}

#[test]
fn unwritten_end_is_held_until_the_coordinator_works() {
    let mut host = signed_in_at("one");
    assert!(!host.handler.holds_unwritten(host.now));
    host.failing = vec!["Read", "Swap"];
    let cookie = host.browser.clone();
    host.call("POST", "/auth/logout");
    assert!(host.handler.holds_unwritten(host.now));
    host.failing.clear();
    host.pass(2);
    // A copy of the cookie lets this isolate read the record, and write the end.
    host.browser = cookie;
    host.call("GET", "/api/x");
    assert!(!host.handler.holds_unwritten(host.now));
}
