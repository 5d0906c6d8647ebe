//! Servers without OpenID Connect: a profile address says who the user is.

use edge::Config;
use kit::proof;
use rules::Code;
use rules::base::http::HttpReply;
use serde_json::{Value, json};

use crate::browser::Source;
use crate::host::{Host, configuration};
use crate::provider;

fn config() -> Value {
    json!({
        "scope": "read",
        "identity": { "url": "https://id.example.com/profile", "sub": "id", "claims": ["login"] },
    })
}

/// Returns a host whose profile address sends these responses, one for each request.
fn host_with(config: &Value, responses: &[HttpReply]) -> Host {
    let mut host = Host::with(config);
    host.provider.plain = Some(json!({}));
    for response in responses {
        let response = Some(response.clone());
        host.provider.replies.push_back(("/profile", response));
    }
    host
}

fn profile(members: &Value) -> HttpReply {
    provider::json(200, &members.to_string())
}

/// Checks that a login with this response of the profile address fails and leaves no token.
fn assert_refused(response: Option<HttpReply>) {
    let mut host = host_with(&config(), &[]);
    host.provider.replies.push_back(("/profile", response));
    host.assert_profile_fails();
}

#[test]
fn named_members_are_the_claims() {
    let ann = profile(&json!({ "id": 42, "login": "ann", "email": "a@b" }));
    let mut host = host_with(&config(), &[ann]);
    host.sign_in();
    let claims = json!({ "sub": "42", "login": "ann" });
    assert_eq!(host.session()["claims"], claims);
    let sent = host.provider.sent_to("/profile");
    assert_eq!(
        sent[0].authorization.as_deref(),
        Some("Bearer access-token-number-2")
    );
    // A refresh does not ask again.
    host.pass(700);
    assert_eq!(host.call("GET", "/api/orders").status(), 200);
    assert_eq!(host.session()["claims"], claims);
    assert_eq!(host.provider.sent_to("/profile").len(), 1);
}

#[test]
fn failed_request_fails_the_login() {
    assert_refused(None);
    for (status, body) in [
        (500, "{}"),
        (302, "{}"),
        (200, "[]"),
        (200, "{}"),
        (200, r#"{"id":1.5}"#),
        (200, r#"{"id":1,"note":"access-token-number-2"}"#),
    ] {
        assert_refused(Some(provider::json(status, body)));
    }
}

#[test]
fn failed_login_keeps_the_session_that_is_there() {
    let ann = profile(&json!({ "id": 42 }));
    let mut host = host_with(&config(), &[ann, provider::json(500, "{}")]);
    host.sign_in();
    let back = host.come_back("/auth/login");
    host.come_in(&back);
    assert_eq!(host.faults(), [Code::ProfileFailed]);
    assert_eq!(host.session()["claims"], json!({ "sub": "42" }));
    assert_eq!(host.provider.sent_to("/revoke").len(), 0);
}

#[test]
fn dpop_token_is_proven_to_the_profile_address() {
    let mut config = config();
    config["dpop"] = json!(true);
    let mut wanted = provider::json(401, "{}");
    wanted.dpop_nonce = Some("n-1".to_owned());
    let mut host = host_with(&config, &[wanted, profile(&json!({ "id": 42 }))]);
    host.provider.token_type = "DPoP";
    host.sign_in();
    let sent = host.provider.sent_to("/profile");
    let proofs: Vec<_> = sent
        .iter()
        .map(|sent| proof::read(sent.proof.as_ref().unwrap()))
        .collect();
    let nonces: Vec<_> = proofs.iter().map(|proof| proof.nonce.as_deref()).collect();
    assert_eq!(nonces, [None, Some("n-1")]);
    assert!(proofs.iter().all(|proof| proof.ath.is_some()));
    assert!(sent.iter().all(|sent| {
        let authorization = sent.authorization.as_deref().unwrap();
        authorization.starts_with("DPoP ")
    }));
}

#[test]
fn nonce_is_requested_only_once() {
    let mut config = config();
    config["dpop"] = json!(true);
    let wanted = |nonce: &str| HttpReply {
        dpop_nonce: Some(nonce.to_owned()),
        ..provider::json(401, "{}")
    };
    let mut host = host_with(&config, &[wanted("n-1"), wanted("n-2"), wanted("n-3")]);
    host.provider.token_type = "DPoP";
    let back = host.come_back("/auth/login");
    host.come_in(&back);
    assert_eq!(host.faults(), [Code::ProfileFailed]);
    assert_eq!(host.provider.sent_to("/profile").len(), 2);
}

#[test]
fn cookie_does_not_open_with_another_profile_address() {
    let mut host = host_with(&config(), &[profile(&json!({ "id": 42 }))]);
    host.sign_in();
    let mut other = config();
    other["identity"]["url"] = json!("https://id.example.com/profile/v2");
    let mut other = Host::with(&other);
    other.browser = host.browser.clone();
    assert_eq!(other.session(), json!(null));
    assert_eq!(host.session()["claims"]["sub"], "42");
}

#[test]
fn profile_address_is_no_endpoint_of_the_server() {
    let mut config = config();
    config["identity"]["url"] = json!("https://id.example.com/token");
    let mut host = host_with(&config, &[]);
    host.go("/auth/login", Source::App);
    assert_eq!(host.faults(), [Code::ConfigInvalid]);
}

#[test]
fn unusable_profile_addresses_are_refused() {
    for (member, value) in [
        ("url", json!("http://api.example.com/me")),
        ("url", json!("https://user@api.example.com/me")),
        ("url", json!("https://api.example.com/me#x")),
        ("url", json!("/me")),
        ("url", json!(7)),
        ("from", json!("token_response")),
        ("sub", json!(null)),
        ("sub", json!("access_token")),
        ("method", json!("POST")),
    ] {
        let mut changes = config();
        changes["identity"][member] = value.clone();
        let error = Config::parse(&configuration(&changes).to_string()).unwrap_err();
        let named = format!("identity.{member}");
        assert!(error.message().contains(&named), "{value}: {error}");
    }
}
