//! Servers without OpenID Connect: the option `identity`.

use kit::world::{Endpoint, Fault};

use super::{Client, and};
use crate::client::Machine;

const NAMED: &str = r#"{
    "scope": "read",
    "identity": { "from": "token_response", "sub": "user_id", "claims": ["name"] }
}"#;
const WITHOUT_USER: &str = r#"{ "scope": "read", "identity": "none" }"#;

// claim: network-5
#[test]
fn named_members_are_the_claims() {
    for storage in Machine::STORAGES {
        let mut client = Machine::with(&and(storage, NAMED));
        client.token_members(r#"{"name": "0", "email": "a@b"}"#);
        assert_eq!(client.sign_in(), Ok(()));
        let claims = r#"{"sub":"alice","name":"0"}"#;
        assert_eq!(client.claims(), claims);
        client.expire_access_token();
        assert_eq!(client.call(), Ok(200));
        assert_eq!(client.claims(), claims);
    }
}

#[test]
fn nobody_has_no_claims() {
    let mut client = Machine::signed_in(WITHOUT_USER);
    assert_eq!(client.claims(), "{}");
    client.expire_access_token();
    assert_eq!(client.call(), Ok(200));
    assert_eq!(client.claims(), "{}");
}

#[test]
fn login_needs_the_named_member() {
    let mut client = Machine::with(NAMED);
    client.token_members(r#"{"user_id": null}"#);
    let failure = client.sign_in().unwrap_err();
    assert_eq!(failure.code, "token_response_invalid");
    assert!(failure.message.contains("identity.sub"), "{failure:?}");
    assert!(client.session().is_none());
    // The issued tokens are not left valid.
    assert!(client.is_revoked());
}

// claim: network-5
#[test]
fn refresh_for_another_user_ends_the_session() {
    let mut client = Machine::signed_in(NAMED);
    client.token_members(r#"{"user_id": "mallory"}"#);
    client.expire_access_token();
    assert_eq!(client.call(), Err("session_ended".to_owned()));
    assert!(client.session().is_none());
    assert_eq!(client.reason().as_deref(), Some("security"));
    assert!(client.is_revoked());
}

#[test]
fn refusal_with_status_200_ends_the_session() {
    let mut client = Machine::signed_in(WITHOUT_USER);
    let refused = Fault::Response(200, r#"{"error":"bad_refresh_token"}"#);
    client.fault(Endpoint::Refresh, refused);
    client.expire_access_token();
    assert_eq!(client.call(), Err("session_ended".to_owned()));
    assert_eq!(client.reason().as_deref(), Some("provider_ended"));
}
