//! Servers without OpenID Connect: a profile address says who the user is. `tests/both/profile_address.rs` has what the
//! vault does, too.

use edge::Config;
use rules::Code;
use rules::base::http::HttpReply;
use serde_json::{Value, json};

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
    for response in responses {
        let response = Some(response.clone());
        host.provider.replies.push_back(("/profile", response));
    }
    host
}

fn profile(members: &Value) -> HttpReply {
    provider::json(200, &members.to_string())
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
