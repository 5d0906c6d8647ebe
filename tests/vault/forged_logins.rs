//! A malicious script of the origin can write valid login records to the vault's store. Such a record must not remain
//! valid long after the script is gone, lead out of the app, or make an authorization response valid twice.

use std::time::Duration;

use rules::codec::base64url;
use rules::oauth::pkce;

use kit::world::provider::{CLIENT_ID, ISSUER, REDIRECT_URI, state_of};
use kit::world::{EXCHANGE, PageResponse, Request, World};

fn state() -> String {
    state_of(CLIENT_ID, "chosen-by-the-script")
}

/// Delivers the callback of a login that no page started. The login's forged record has this age in milliseconds and
/// this `return_to`. A negative age is a time in the future.
fn callback_of_forged(age: i64, return_to: &str) -> (World, Request) {
    let mut world = World::new();
    let hash = |text: &str| base64url::encode(&pkce::sha256(text.as_bytes()));
    let verifier = base64url::encode(&[7; 32]);
    let created_at = world.now.wall.saturating_add_signed(-age);
    let record = format!(
        r#"{{"version":1,"issuer":"{ISSUER}","nonce":"n","code_verifier":"{verifier}","return_to":"{return_to}",
            "popup":false,"silent":false,"max_age":null,"created_at":{created_at}}}"#
    );
    world.store.forge(&hash(&state()), &record);
    let address = format!(
        "{ISSUER}/authorize?client_id={CLIENT_ID}&redirect_uri={REDIRECT_URI}&response_type=code\
         &code_challenge_method=S256&code_challenge={}&nonce=n&state={}",
        hash(&verifier),
        state()
    );
    let response = world.provider.sign_in(&address);
    let page = world.open();
    let callback = world.callback(page, &response);
    world.answer_all();
    (world, callback)
}

// claim: script-17
#[test]
fn login_from_the_future_is_expired() {
    for age in [-60_001, -3_600_000, -9_000_000_000_000] {
        let (world, callback) = callback_of_forged(age, "/");
        assert_eq!(world.code(callback), "login_expired", "{age}");
        assert_eq!(world.count(EXCHANGE), 0, "{age}");
    }
}

#[test]
fn login_survives_a_clock_set_back_slightly() {
    for age in [-60_000, 0] {
        let (world, callback) = callback_of_forged(age, "/");
        let settled = world.response(callback);
        assert!(
            matches!(settled, Some(PageResponse::Settled { .. })),
            "{age}"
        );
    }
}

// claim: script-17
#[test]
fn stored_login_stays_in_the_app() {
    for return_to in [
        "javascript:alert(1)",
        "https://evil.test/",
        "//evil.test/",
        "data:text/html,x",
        "https://app.example.com:444/",
    ] {
        let (world, callback) = callback_of_forged(0, return_to);
        assert_eq!(world.code(callback), "message_invalid", "{return_to}");
        assert_eq!(world.count(EXCHANGE), 0, "{return_to}");
    }
}

#[test]
fn stored_login_never_leads_to_a_host() {
    for return_to in ["/.//evil.test/x", "https://app.example.com//evil.test/x"] {
        let (world, callback) = callback_of_forged(0, return_to);
        let expected = PageResponse::Settled {
            return_to: "/evil.test/x".to_owned(),
            popup: false,
            is_kept: false,
            is_again: false,
        };
        assert_eq!(world.response(callback), Some(&expected), "{return_to}");
    }
}

// claim: site-5
#[test]
fn error_return_to_stays_in_the_app() {
    for (return_to, code, told) in [
        ("/.//evil.test/x", "login_expired", Some("/evil.test/x")),
        ("//evil.test/x", "message_invalid", None),
        ("https://evil.test/x", "message_invalid", None),
        ("javascript:alert(1)", "message_invalid", None),
    ] {
        let (world, callback) = callback_of_forged(700_000, return_to);
        assert_eq!(world.code(callback), code, "{return_to}");
        let error = world.page(callback.port).of_type("error").next_back();
        let given = error
            .unwrap()
            .get("returnTo")
            .map(|path| path.as_str().unwrap());
        assert_eq!(given, told, "{return_to}");
    }
}

// claim: script-17
#[test]
fn restored_login_record_is_a_replay() {
    let mut world = World::new();
    let page = world.open();
    let address = world.begin_login(page, "redirect");
    let copy = world.store.copy();
    assert_eq!(copy.len(), 1);
    let [response, another] = [(), ()].map(|()| world.provider.sign_in(&address));
    world.callback(page, &response);
    world.answer_all();
    for (key, text) in copy {
        world.store.forge(&key, &text);
    }
    let again = world.callback(page, &another);
    world.answer_all();
    let is_again = matches!(
        world.response(again),
        Some(PageResponse::Settled { is_again: true, .. })
    );
    assert!(is_again, "{:?}", world.response(again));
    assert_eq!(world.count(EXCHANGE), 1);
}

#[test]
fn year_old_login_is_expired() {
    let mut world = World::new();
    let page = world.open();
    let address = world.begin_login(page, "redirect");
    let copy = world.store.copy();
    world.restart();
    world.advance(Duration::from_secs(365 * 24 * 3600));
    for (key, text) in copy {
        world.store.forge(&key, &text);
    }
    let page = world.open();
    let response = world.provider.sign_in(&address);
    let callback = world.callback(page, &response);
    world.answer_all();
    assert_eq!(world.code(callback), "login_expired");
}
