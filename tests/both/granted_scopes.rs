//! The provider may grant other scopes than the login requested.

use kit::world::Endpoint;

use super::Client;
use crate::client::Machine;

const STRICT: &str = r#"{"scope":"openid profile offline_access","unrequestedScopes":"refuse"}"#;
const REFUSING: &str = r#"{"unrequestedScopes":"refuse","userInfo":true,"claims":["auth_time"]}"#;

#[test]
fn requested_or_fewer_scopes_cause_no_warning() {
    for granted in [
        "openid profile offline_access",
        "offline_access  openid profile",
        "openid",
        "",
    ] {
        let mut client = Machine::with(STRICT);
        client.provider().scope = Some(granted);
        assert_eq!(client.sign_in(), Ok(()), "{granted}");
        assert!(client.warnings().is_empty(), "{granted}");
    }
}

#[test]
fn refresh_may_reduce_the_scopes() {
    let mut client = Machine::signed_in(STRICT);
    // RFC 6749 section 5.1: a response without `scope` grants the requested scope.
    let asked = r#"["openid","profile","offline_access"]"#;
    assert_eq!(client.member("scopes"), asked);
    for granted in [Some("openid"), None] {
        client.provider().scope = granted;
        client.expire_access_token();
        assert_eq!(client.call(), Ok(200));
        assert_eq!(client.member("scopes"), r#"["openid"]"#);
    }
}

/// Lets the provider grant a scope that no login requests.
fn grant_more(client: &mut Machine) {
    client.token_members(r#"{"scope":"openid offline_access admin"}"#);
}

// claim: url-4
#[test]
fn refused_tokens_are_revoked_and_not_used() {
    let mut client = Machine::with(REFUSING);
    grant_more(&mut client);
    assert_eq!(client.sign_in().unwrap_err().code, "scope_exceeded");
    assert!(client.session().is_none());
    assert!(client.is_revoked());
    assert_eq!(client.count(Endpoint::Profile), 0);
}

#[test]
fn refused_login_leaves_the_session_its_grant() {
    for storage in Machine::STORAGES {
        let mut client = Machine::with(&super::and(storage, REFUSING));
        assert_eq!(client.sign_in(), Ok(()));
        grant_more(&mut client);
        assert_eq!(client.sign_in().unwrap_err().code, "scope_exceeded");
        // Many providers would revoke the tokens of the session, too.
        assert_eq!(client.count(Endpoint::Revoke), 0);
        assert_eq!(client.call(), Ok(200));
    }
}

#[test]
fn refused_login_causes_no_other_warning() {
    let mut client = Machine::with(REFUSING);
    client.state("auth_time", (client.now() / 1000).into());
    assert_eq!(client.sign_in(), Ok(()));
    client.pass(10);
    grant_more(&mut client);
    let failure = client.sign_in_with(r#""prompt":"login""#).unwrap_err();
    assert_eq!(failure.code, "scope_exceeded");
    assert!(
        !client
            .warnings()
            .contains(&"sign_in_not_repeated".to_owned())
    );
}
