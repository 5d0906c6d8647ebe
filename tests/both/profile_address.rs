//! Servers without OpenID Connect: a profile address says who the user is.

use kit::proof::Proof;
use kit::world::{Endpoint, Fault};

use super::{Client, and};
use crate::client::Machine;

const CONFIG: &str = r#"{
    "scope": "read",
    "identity": { "url": "https://id.example.com/profile", "sub": "user_id", "claims": ["name"] }
}"#;

#[test]
fn named_members_are_the_claims() {
    let mut client = Machine::with(CONFIG);
    client.profile(r#"{"name": "Alice", "email": "a@b"}"#);
    assert_eq!(client.sign_in(), Ok(()));
    let claims = r#"{"sub":"alice","name":"Alice"}"#;
    assert_eq!(client.claims(), claims);
    client.refresh_keeps(claims);
}

#[test]
fn failed_request_fails_the_login() {
    for (fault, why) in [
        (Fault::LostBefore, "did not respond"),
        (Fault::Status(403), "responded with status 403"),
        (Fault::Status(500), "responded with status 500"),
        (Fault::Status(302), "redirect"),
        (Fault::Html, "JSON object"),
        (Fault::Response(200, "[]"), "JSON object"),
        (Fault::Response(200, "{}"), "identity.sub"),
        (Fault::Response(200, r#"{"user_id":{}}"#), "identity.sub"),
        (Fault::Response(200, r#"{"user_id":""}"#), "identity.sub"),
        (Fault::Response(200, r#"{"user_id":1.5}"#), "identity.sub"),
        (Fault::Response(200, r#"{"sub":"alice"}"#), "identity.sub"),
    ] {
        let mut client = Machine::with(CONFIG);
        for _ in 0..2 {
            client.fault(Endpoint::Profile, fault);
        }
        let message = client.refused();
        assert!(message.contains(why), "{fault:?}: {message}");
    }
}

// claim: network-5
#[test]
fn profile_with_a_token_fails_the_login() {
    for profile in [
        r#"{"user_id": "alice", "name": "x the-token-that-repeats"}"#,
        // A member that does not become a claim.
        r#"{"user_id": "alice", "note": ["the-refresh-token-that-repeats"]}"#,
    ] {
        let mut client = Machine::with(CONFIG);
        client.token_members(
            r#"{"access_token": "the-token-that-repeats", "refresh_token": "the-refresh-token-that-repeats"}"#,
        );
        client.fault(Endpoint::Profile, Fault::Response(200, profile));
        let failure = client.sign_in().unwrap_err();
        assert_eq!(failure.code, "profile_failed");
        let message = failure.message;
        assert!(message.contains("responded with a token"), "{message}");
        assert!(client.session().is_none());
        assert_eq!(client.count(Endpoint::Revoke), 1);
    }
}

#[test]
fn failed_login_keeps_the_session_that_is_there() {
    let mut client = Machine::signed_in(CONFIG);
    client.fault(Endpoint::Profile, Fault::Status(500));
    let failure = client.sign_in().unwrap_err();
    assert_eq!(failure.code, "profile_failed");
    assert_eq!(client.claims(), r#"{"sub":"alice"}"#);
    assert!(!client.is_revoked());
}

// claim: network-5
#[test]
fn profile_address_is_no_endpoint_of_the_server() {
    for endpoint in ["token", "revoke", "authorize", "token?x"] {
        let config = CONFIG.replace("/profile", &["/", endpoint].concat());
        let failure = Machine::with(&config).sign_in().unwrap_err();
        assert_eq!(failure.code, "config_invalid", "{endpoint}");
        assert!(failure.message.contains("identity.url"), "{failure:?}");
    }
}

#[test]
fn dpop_token_is_proven_to_the_profile_address() {
    let mut client = Machine::with(&and(CONFIG, r#"{"dpop":true}"#));
    client.provider().profile_proofs.nonce = Some("n-1".to_owned());
    assert_eq!(client.sign_in(), Ok(()));
    // The first request had no nonce. The server asked for one, once.
    let proofs = &client.provider().profile_proofs.proofs;
    let nonces: Vec<_> = proofs.iter().map(|proof| proof.nonce.as_deref()).collect();
    assert_eq!(nonces, [None, Some("n-1")]);
    let is_of_token = |proof: &Proof| proof.ath.is_some() && proof.htm == "GET";
    assert!(proofs.iter().all(is_of_token));
}
