//! The provider may state when a session ends at the latest, by `session_expiry` in an ID token (IPSIE).

use kit::world::Endpoint;
use rules::codec::json::Value;

use super::Client;
use crate::client::Machine;

pub(crate) const HOUR: u64 = 3600;

/// ID tokens from now on state that the session ends this many seconds from now.
pub(crate) fn state(client: &mut Machine, seconds: u64) {
    client.state("session_expiry", (client.now() / 1000 + seconds).into());
}

/// Signs in at a provider that states an end `seconds` after the login.
pub(crate) fn signed_in(config: &str, seconds: u64) -> Machine {
    let mut client = Machine::with(config);
    state(&mut client, seconds);
    assert_eq!(client.sign_in(), Ok(()), "{config}");
    client.provider().flaw = None;
    client
}

/// Uses the session until it ends. Returns the seconds since the login, and the reason.
pub(crate) fn end_of(client: &mut Machine) -> (u64, String) {
    let began = client.time("startedAt");
    while client.session().is_some() {
        client.pass(60);
        let _ = client.call();
    }
    let reason = client.reason().unwrap();
    ((client.now() - began) / 1000, reason)
}

// claim: script-29
#[test]
fn session_ends_when_the_provider_wants() {
    for storage in Machine::STORAGES {
        let mut client = signed_in(storage, HOUR);
        let began = client.time("startedAt");
        assert_eq!(client.time("expiresAt"), began + HOUR * 1000);
        client.pass(600);
        client.restart();
        let end = end_of(&mut client);
        assert_eq!(end, (HOUR, "session_expired".to_owned()), "{storage}");
        assert!(client.is_revoked(), "{storage}");
        assert_eq!(client.count(Endpoint::Revoke), 1, "{storage}");
    }
}

#[test]
fn own_limit_counts_if_it_is_earlier() {
    let mut client = signed_in(r#"{"session":{"idle":1800,"absolute":1800}}"#, HOUR);
    assert_eq!(end_of(&mut client), (1800, "absolute".to_owned()));
}

#[test]
fn earliest_stated_end_counts() {
    for storage in Machine::STORAGES {
        for (at_refresh, end) in [(HOUR, HOUR), (9 * HOUR, 2 * HOUR)] {
            let mut client = signed_in(storage, 2 * HOUR);
            let stated = client.now() / 1000 + at_refresh;
            client.expire_access_token();
            client.state("session_expiry", stated.into());
            assert_eq!(client.call(), Ok(200), "{storage}");
            assert_eq!(client.refresh_tokens_sent().len(), 1, "{storage}");
            client.provider().flaw = None;
            client.restart();
            let expected = (end, "session_expired".to_owned());
            assert_eq!(end_of(&mut client), expected, "{storage}");
        }
    }
}

#[test]
fn unusable_stated_end_fails_a_login() {
    let at_the_issue = Value::from(Machine::with("{}").now() / 1000);
    for value in [
        at_the_issue,
        Value::from("1"),
        Value::parse("9e9").unwrap(),
        Value::parse("9000000000.5").unwrap(),
        Value::Null,
        Value::from(1_u64),
    ] {
        let mut client = Machine::with("{}");
        client.state("session_expiry", value.clone());
        let failure = client.sign_in().unwrap_err();
        assert_eq!(failure.code, "id_token_invalid", "{value:?}");
        assert!(client.session().is_none(), "{value:?}");
    }
}
