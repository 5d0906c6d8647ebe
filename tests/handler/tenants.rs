//! Several tenants with one issuer, client and keyring: nothing of one tenant is valid at another one.

use edge::{Config, Handler};
use rules::Code;
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

fn forgetting() -> Host {
    Host::signed_in_with(&json!({ "logout": "forget" }))
}

// claim: handler-53
#[test]
fn logout_revokes_the_grant_of_other_tenants_only_at_the_provider() {
    for (path, revoked) in [("/auth/logout", 0), ("/auth/logout?provider", 1)] {
        let mut host = forgetting();
        let copy = host.browser.clone();
        let response = host.call("POST", path).own();
        assert_eq!(json_of(&response)["revoked"], revoked == 1, "{path}");
        assert_eq!(host.provider.sent_to("/revoke").len(), revoked, "{path}");
        host.browser = copy;
        let response = host.call("GET", "/auth/session").own();
        assert_eq!(json_of(&response)["reason"], "logged_out");
    }
}

#[test]
fn logout_by_a_form_revokes_because_it_leads_to_the_provider() {
    let mut host = forgetting();
    let mut request = host.by_script("POST", "/auth/logout");
    request.marker = None;
    request.mode = Some("navigate".to_owned());
    request.has_body = true;
    host.request(request);
    assert_eq!(host.provider.sent_to("/revoke").len(), 1);
}

/// The user who is signed in here may have a session at another tenant, of the same grant.
#[test]
fn login_of_another_user_spares_the_grant_of_other_tenants() {
    let mut host = forgetting();
    host.provider.subject = "bob".to_owned();
    host.sign_in();
    assert!(host.provider.sent_to("/revoke").is_empty());
}

#[test]
fn failed_login_spares_the_grant_of_other_tenants() {
    let config = json!({ "logout": "forget", "session": { "storage": "in-store" } });
    for (config, revoked) in [
        (config, 0),
        (json!({ "session": { "storage": "in-store" } }), 1),
    ] {
        let mut host = Host::with(&config);
        let back = host.come_back("/auth/login");
        host.failing = vec!["Swap"];
        assert_eq!(host.arrive(&back).status, 503);
        assert_eq!(host.provider.sent_to("/revoke").len(), revoked);
    }
}

#[test]
fn logout_that_forgets_is_only_for_tenants() {
    let config = json!({ "logout": "forget" });
    let config = Config::parse(&configuration(&config).to_string()).unwrap();
    assert_eq!(
        config.without_tenants().unwrap_err().code(),
        Code::ConfigInvalid
    );
    let usual = Config::parse(&configuration(&json!({})).to_string()).unwrap();
    assert!(usual.without_tenants().is_ok());
}
