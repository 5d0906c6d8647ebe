//! Servers without OpenID Connect: the option `identity`. `tests/both/plain_oauth.rs` has what the vault does, too.

use edge::Config;
use serde_json::{Value, json};

use crate::browser::Source;
use crate::crypto::object;
use crate::host::{Host, configuration, location};
use crate::proxy::head;

fn named() -> Value {
    json!({
        "scope": "read",
        "identity": { "from": "token_response", "sub": "user_id", "claims": ["name"] },
    })
}

fn without_user() -> Value {
    json!({ "identity": "none" })
}

/// Returns a host whose server has these members in token responses. `null` stands for a member that is left out.
fn host_with(config: &Value, members: &Value) -> Host {
    let mut host = Host::with(config);
    host.provider.more_members = object(&members.to_string());
    host
}

#[test]
fn token_without_lifetime_is_used_until_refused() {
    // GitHub's OAuth apps respond like this.
    let members = json!({ "expires_in": null, "refresh_token": null, "scope": "repo,user" });
    let mut host = host_with(&without_user(), &members);
    host.sign_in();
    assert_eq!(host.session()["scopes"], json!(["repo", "user"]));
    for _ in 0..10 {
        host.pass(1000);
        assert_eq!(host.call("GET", "/api/orders").status(), 200);
    }
    let session = host.session();
    assert_eq!(session["accessTokenExpiresAt"], session["expiresAt"]);
    host.heads.push_back(head(401));
    assert_eq!(
        host.call("GET", "/api/orders").code(),
        "interaction_required"
    );
}

#[test]
fn new_token_without_lifetime_that_is_refused_asks_for_no_login() {
    for (seconds, status) in [(29, ""), (30, "interaction_required")] {
        let members = json!({ "expires_in": null, "refresh_token": null });
        let mut host = host_with(&without_user(), &members);
        host.sign_in();
        host.pass(seconds);
        host.heads.push_back(head(401));
        assert_eq!(host.call("GET", "/api/orders").code(), status);
    }
}

/// Such a token is over at a known time, so the API's response says nothing about the session.
#[test]
fn refusal_of_a_token_with_lifetime_is_passed_on() {
    let mut host = host_with(&without_user(), &json!({ "refresh_token": null }));
    host.sign_in();
    host.heads.push_back(head(401));
    let answered = host.call("GET", "/api/orders");
    assert_eq!((answered.status(), answered.code()), (401, String::new()));
}

#[test]
fn login_requests_no_scope_by_default() {
    let mut host = host_with(&without_user(), &json!({}));
    let response = host.go("/auth/login", Source::App).own();
    let (_, query) = location(&response).split_once('?').unwrap();
    assert!(!query.contains("scope="), "{query}");
}

// claim: network-5
#[test]
fn cookie_does_not_open_after_a_change_of_identity() {
    let mut host = host_with(&named(), &json!({ "user_id": "ann" }));
    host.sign_in();
    for changes in [without_user(), json!({ "scope": "openid" })] {
        let mut other = Host::with(&changes);
        other.browser = host.browser.clone();
        assert_eq!(other.session(), json!(null), "{changes}");
    }
    assert_eq!(host.session()["claims"]["sub"], "ann");
}

#[test]
fn logout_at_the_provider_has_no_hint() {
    let mut host = host_with(&named(), &json!({ "user_id": "ann" }));
    host.sign_in();
    host.call("POST", "/auth/logout");
    let response = host.go("/auth/logout/provider", Source::App).own();
    let (_, query) = location(&response).split_once('?').unwrap();
    assert!(!query.contains("id_token_hint") && query.contains("client_id=web"));
    assert_eq!(host.provider.sent_to("/revoke").len(), 1);
}

#[test]
fn options_of_openid_connect_are_refused() {
    for changes in [
        json!({ "identity": "none", "scope": "openid" }),
        json!({ "identity": "none", "backChannelLogout": true }),
        json!({ "identity": "none", "claims": ["name"] }),
        json!({ "scope": "read" }),
    ] {
        let config = configuration(&changes).to_string();
        let error = Config::parse(&config).unwrap_err();
        assert!(error.message().contains("identity"), "{changes}: {error}");
    }
}
