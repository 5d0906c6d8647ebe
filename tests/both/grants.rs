//! The provider may grant other scopes than the login requested.

use super::Client;
use crate::client::Machine;

const STRICT: &str = r#"{"scope":"openid profile offline_access","unrequestedScopes":"refuse"}"#;

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

// claim: url-4
#[test]
fn unrequested_scopes_fail_the_login_if_configured() {
    for has_session in [false, true] {
        let mut client = match has_session {
            true => Machine::signed_in(STRICT),
            false => Machine::with(STRICT),
        };
        client.provider().scope = Some("openid profile offline_access orders admin");
        assert_eq!(client.sign_in().unwrap_err().code, "scope_exceeded");
        assert_eq!(client.session().is_some(), has_session);
        // The tokens of the login are revoked, and those of the session stay.
        assert_eq!(client.is_revoked(), !has_session);
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
