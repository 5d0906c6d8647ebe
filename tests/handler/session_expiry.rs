//! The provider may state when a session ends at the latest, by `session_expiry` in an ID token (IPSIE).
//! `tests/both/session_expiry.rs` has what the vault does, too.

use edge::{Event, Fault};
use rules::Code;
use rules::base::clock::Millis;
use serde_json::{Value, json};

use crate::host::{Host, json_of};

const HOUR: u64 = 3600;

/// ID tokens from now on state that the session ends this many seconds from now.
fn state(host: &mut Host, seconds: u64) {
    state_as(host, &json!(host.now.wall / 1000 + seconds));
}

/// ID tokens from now on have this `session_expiry`.
fn state_as(host: &mut Host, value: &Value) {
    host.provider.claims = format!(r#","session_expiry":{value}"#);
}

/// Signs in at a provider that states an end `seconds` after the login.
fn signed_in(config: &Value, seconds: u64) -> Host {
    let mut host = Host::with(config);
    host.provider.renews_id_tokens = true;
    state(&mut host, seconds);
    host.sign_in();
    host
}

/// Uses the session until it ends. Returns the seconds since `began`, and the reason.
fn end_of(host: &mut Host, began: u64) -> (u64, String) {
    loop {
        host.pass(60);
        let response = host.call("GET", "/auth/session").own();
        if let Some(reason) = json_of(&response)["reason"].as_str() {
            return ((host.now.wall - began) / 1000, reason.to_owned());
        }
    }
}

#[test]
fn unusable_stated_end_of_a_refresh_is_logged() {
    let mut host = signed_in(&json!({}), 2 * HOUR);
    let began = host.now.wall;
    host.pass(600);
    state_as(&mut host, &json!("soon"));
    host.call("GET", "/api/orders");
    let is_logged = |event: &Event| {
        matches!(event, Event::Fault(Fault { error, .. })
            if error.code() == Code::IdTokenInvalid && error.message().contains("session_expiry"))
    };
    assert!(host.events.iter().any(is_logged), "{:?}", host.events);
    host.provider.claims.clear();
    assert_eq!(
        end_of(&mut host, began),
        (2 * HOUR, "session_expired".to_owned())
    );
}

/// Removes the entries of the store whose lifetime is over, if all of them were written `seconds` ago.
fn expire_entries(host: &mut Host, seconds: u64) {
    let lifetimes = host.lifetimes.clone();
    let age = Millis::from_secs(seconds);
    host.store.retain(|key, _| lifetimes[key] > age);
}

#[test]
fn stored_session_is_found_after_its_stated_end() {
    let mut host = signed_in(&json!({ "session": { "storage": "in-store" } }), HOUR);
    host.pass(2 * HOUR);
    expire_entries(&mut host, 2 * HOUR);
    let response = host.call("GET", "/auth/session").own();
    assert_eq!(json_of(&response)["reason"], "session_expired");
    assert_eq!(host.provider.sent_to("/revoke").len(), 1);
}

/// The response with the new cookie was lost, so the browser still has the cookie of the login.
#[test]
fn stated_end_of_a_refresh_counts_for_an_earlier_cookie() {
    let mut host = Host::with(&json!({ "session": { "idle": 43200 } }));
    host.provider.renews_id_tokens = true;
    host.sign_in();
    host.pass(600);
    state(&mut host, HOUR);
    let lost = host.by_script("GET", "/api/orders");
    assert_eq!(host.request_elsewhere(lost).status(), 200);
    assert_eq!(host.provider.sent_to("/token").len(), 2);
    host.provider.claims.clear();
    host.pass(HOUR + 30);
    let response = host.call("GET", "/api/orders").own();
    assert_eq!(json_of(&response)["error"]["reason"], "session_expired");
    assert_eq!(host.upstream.len(), 1);
    assert_eq!(host.provider.sent_to("/revoke").len(), 1);
}

/// A copy of the login's cookie was made before the provider stated an end.
#[test]
fn earlier_cookie_is_refused_after_the_end() {
    const DAY: u64 = 24 * HOUR;
    let limits = json!({ "session": { "idle": 30 * DAY, "absolute": 30 * DAY } });
    let mut host = Host::with(&limits);
    host.provider.renews_id_tokens = true;
    host.sign_in();
    let copy = host.by_script("GET", "/api/orders");
    host.pass(600);
    state(&mut host, HOUR);
    assert_eq!(host.call("GET", "/api/orders").status(), 200);
    host.provider.claims.clear();
    let began = host.now.wall;
    assert_eq!(end_of(&mut host, began).1, "session_expired");
    host.pass(2 * DAY);
    expire_entries(&mut host, 2 * DAY);
    host.restart(&json!({}));
    let tokens = host.provider.sent_to("/token").len();
    let answered = host.request_elsewhere(copy);
    assert_eq!(
        host.provider.sent_to("/token").len(),
        tokens,
        "{answered:?}"
    );
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
    let mut host = Host::with(&json!({ "session": { "idle": 1200 } }));
    host.provider.renews_id_tokens = true;
    host.sign_in();
    host.pass(600);
    state(&mut host, 700);
    let lost = host.by_script("GET", "/api/orders");
    assert_eq!(host.request_elsewhere(lost).status(), 200);
    host.provider.claims.clear();
    host.pass(2000);
    let response = host.call("GET", "/auth/session").own();
    assert_eq!(json_of(&response)["reason"], "session_expired");
    assert_eq!(host.provider.sent_to("/revoke").len(), 1);
}
