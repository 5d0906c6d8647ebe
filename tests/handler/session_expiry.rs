//! The provider may state when a session ends at the latest, by `session_expiry` in an ID token (IPSIE).
//! `tests/both/session_expiry.rs` has what the vault does, too.

use edge::{Event, Fault};
use rules::Code;
use rules::base::clock::Millis;
use serde_json::json;

use crate::both::Client;
use crate::both::session_expiry::{HOUR, end_of, signed_in, state};
use crate::client::Machine;
use crate::host::{Host, json_of};

#[test]
fn unusable_stated_end_of_a_refresh_is_logged() {
    let mut client = signed_in("{}", 2 * HOUR);
    client.state("session_expiry", "soon".into());
    client.expire_access_token();
    assert_eq!(client.call(), Ok(200));
    let is_logged = |event: &Event| {
        matches!(event, Event::Fault(Fault { error, .. })
            if error.code() == Code::IdTokenInvalid && error.message().contains("session_expiry"))
    };
    let events = &client.host.events;
    assert!(events.iter().any(is_logged), "{events:?}");
    client.provider().flaw = None;
    let end = (2 * HOUR, "session_expired".to_owned());
    assert_eq!(end_of(&mut client), end);
}

/// Removes the entries of the store whose lifetime is over, if all of them were written `seconds` ago.
fn expire_entries(host: &mut Host, seconds: u64) {
    let lifetimes = host.lifetimes.clone();
    let age = Millis::from_secs(seconds);
    host.store.retain(|key, _| lifetimes[key] > age);
}

#[test]
fn stored_session_is_found_after_its_stated_end() {
    let mut client = signed_in(r#"{"session":{"storage":"in-store"}}"#, HOUR);
    client.pass(2 * HOUR);
    expire_entries(&mut client.host, 2 * HOUR);
    assert_eq!(client.reason().as_deref(), Some("session_expired"));
    assert!(client.is_revoked());
}

/// The response with the new cookie was lost, so the browser still has the cookie of the login.
#[test]
fn stated_end_of_a_refresh_counts_for_an_earlier_cookie() {
    let mut client = Machine::signed_in(r#"{"session":{"idle":43200}}"#);
    client.pass(600);
    state(&mut client, HOUR);
    let lost = client.host.by_script("GET", "/api/orders");
    assert_eq!(client.host.request_elsewhere(lost).status(), 200);
    assert_eq!(client.refresh_tokens_sent().len(), 1);
    client.provider().flaw = None;
    client.pass(HOUR + 30);
    assert_eq!(client.call(), Err("session_ended".to_owned()));
    assert_eq!(client.reason().as_deref(), Some("session_expired"));
    assert_eq!(client.host.upstream.len(), 1);
    assert!(client.is_revoked());
}

/// A copy of the login's cookie was made before the provider stated an end.
#[test]
fn earlier_cookie_is_refused_after_the_end() {
    const DAY: u64 = 24 * HOUR;
    let limits = json!({ "session": { "idle": 30 * DAY, "absolute": 30 * DAY } });
    let mut client = Machine::signed_in(&limits.to_string());
    let copy = client.host.by_script("GET", "/api/orders");
    client.pass(600);
    state(&mut client, HOUR);
    assert_eq!(client.call(), Ok(200));
    client.provider().flaw = None;
    assert_eq!(end_of(&mut client).1, "session_expired");
    client.pass(2 * DAY);
    expire_entries(&mut client.host, 2 * DAY);
    client.restart();
    let sent = client.refresh_tokens_sent();
    let answered = client.host.request_elsewhere(copy);
    assert_eq!(client.refresh_tokens_sent(), sent, "{answered:?}");
    assert_eq!(answered.code(), "session_ended");
}

/// R1: the user comes back an hour after the absolute limit; by then the store has removed the record.
#[test]
fn stored_session_is_revoked_after_the_absolute_limit() {
    let limits = json!({ "idle": 600, "absolute": 600, "storage": "in-store" });
    let mut host = Host::signed_in_with(&json!({ "session": limits }));
    host.pass(HOUR);
    expire_entries(&mut host, HOUR);
    let response = host.call("GET", "/auth/session").own();
    assert_eq!(json_of(&response)["reason"], "absolute");
    assert_eq!(host.provider.sent_to("/revoke").len(), 1);
}

/// R4: the record has reached its stated end, but the presented copy looks idle.
#[test]
fn idle_copy_of_an_expired_session_is_ended() {
    let mut client = Machine::signed_in(r#"{"session":{"idle":1200}}"#);
    client.pass(600);
    state(&mut client, 700);
    let lost = client.host.by_script("GET", "/api/orders");
    assert_eq!(client.host.request_elsewhere(lost).status(), 200);
    client.provider().flaw = None;
    client.pass(2000);
    assert_eq!(client.reason().as_deref(), Some("session_expired"));
    assert!(client.is_revoked());
}
