//! Checks stored sessions and stored pending logins. A session must be written as it was read, must not become younger,
//! and its view for pages must not contain a token.

use rules::Secret;
use rules::base::clock::{Instant, Millis};
use rules::codec::json::Value;
use rules::config::Flow;
use rules::login::authorization_request::Pending;
use rules::session::{self, Kept, Session, Storing, restore};
use std::sync::LazyLock;
use vault::config::Config;

fn flow() -> &'static Flow {
    static FLOW: LazyLock<Flow> = LazyLock::new(|| {
        let json = r#"{"issuer":"https://id.example.com","clientId":"spa","redirectUri":"/callback",
            "scope":"openid","apis":[],"session":{"persist":"sealed"}}"#;
        let config = Config::parse(json, "https://app.example.com/auth.worker.js");
        config.unwrap().flow
    });
    &FLOW
}

fn stored(session: &Session) -> Secret {
    session::kept(
        session,
        Storing {
            flow: flow(),
            endpoints: &[],
            now: &NOW,
        },
    )
}

const NOW: Instant = Instant {
    monotonic: Millis(5_000_000),
    wall: 1_800_000_000_000,
};

pub fn check(input: &[u8]) {
    let Ok(text) = core::str::from_utf8(input) else {
        return;
    };
    is_a_login_that_waits_or_none(text);
    let Some(kept) = restore(text, flow(), &NOW) else {
        return;
    };
    let value = Value::parse(text).unwrap();
    let object = value.as_object().unwrap();
    assert_eq!(object.str("issuer"), Some("https://id.example.com"));
    assert_eq!(object.str("client_id"), Some("spa"));
    let Kept::Session(session) = kept else {
        assert!(object.str("ended").is_some());
        return;
    };
    assert_eq!(Some(session.sid()), object.str("sid"));
    // A limit that was reached when the session was stored is also reached after the session is read.
    let number = |name| object.get(name).and_then(Value::as_u64).unwrap();
    let limits = &flow().limits;
    let is_over = number("age") >= limits.absolute.0 || number("idle") >= limits.idle.0;
    let reached = session.limit_reached(limits, &NOW);
    // An age beyond the range of the monotonic clock is measured by the wall clock.
    assert!(!is_over || reached.is_some(), "{}", number("age"));
    let again = stored(&session);
    let Some(Kept::Session(twin)) = restore(again.expose(), flow(), &NOW) else {
        panic!("what was written is not read");
    };
    assert_eq!(stored(&twin).expose(), again.expose());
    assert_eq!(twin.limit_reached(limits, &NOW), reached);
    let view = session::view(&session, flow(), Some(true), false).to_json();
    let shown = format!("{session:?}");
    session.for_each_token(|_, token| {
        let token = token.expose();
        // A short token may occur by chance, and a forged record may use any string as a scope or URL.
        let is_elsewhere = text.matches(token).count() > 1;
        if token.len() >= 20 && !is_elsewhere {
            assert!(!view.contains(token), "{view}");
            assert!(!shown.contains(token), "{shown}");
        }
    });
}

/// Checks the record of a pending login, which the store also contains.
fn is_a_login_that_waits_or_none(text: &str) {
    let Some(pending) = Pending::from_json(text) else {
        return;
    };
    let written = pending.to_json();
    let again = Pending::from_json(written.expose()).unwrap();
    assert_eq!(again.to_json().expose(), written.expose());
    let shown = format!("{pending:?}");
    for secret in [&pending.nonce, &pending.code_verifier] {
        let secret = secret.expose();
        let is_elsewhere = text.matches(secret).count() > 1;
        assert!(
            secret.len() < 20 || is_elsewhere || !shown.contains(secret),
            "{shown}"
        );
    }
    // A login that is too old at one time is too old at all later times.
    let is_over = |now| pending.check_age(now, Millis::ZERO).is_err();
    let past = pending.created_at.saturating_add(600_001);
    assert!(past == u64::MAX || is_over(past));
}
