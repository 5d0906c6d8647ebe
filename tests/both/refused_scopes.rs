//! A login whose provider grants more than was asked for, with `unrequestedScopes: 'refuse'`.

use kit::world::Endpoint;

use super::Client;
use crate::client::Machine;

const CONFIG: &str = r#"{"unrequestedScopes":"refuse","userInfo":true,"claims":["auth_time"]}"#;

/// Lets the provider grant a scope that no login requests.
fn grant_more(client: &mut Machine) {
    client.token_members(r#"{"scope":"openid offline_access admin"}"#);
}

#[test]
fn refused_tokens_are_revoked_and_not_used() {
    let mut client = Machine::with(CONFIG);
    grant_more(&mut client);
    assert_eq!(client.sign_in().unwrap_err().code, "scope_exceeded");
    assert!(client.session().is_none());
    assert!(client.is_revoked());
    assert_eq!(client.count(Endpoint::Profile), 0);
}

#[test]
fn refused_login_leaves_the_session_its_grant() {
    for storage in Machine::STORAGES {
        let mut client = Machine::with(&super::and(storage, CONFIG));
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
    let mut client = Machine::with(CONFIG);
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
