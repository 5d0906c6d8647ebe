//! Servers without OpenID Connect: the option `identity`. `tests/both/plain_oauth.rs` has what the token handler does,
//! too.

use std::time::Duration;

use kit::world::World;
use rules::Code;
use vault::PortId;

use crate::claims::{claims, object};

const NAMED: &str = r#"{
    "scope": "read",
    "identity": { "from": "token_response", "sub": "user_id", "claims": ["name"] }
}"#;
const NOBODY: &str = r#"{ "scope": "read", "identity": "none" }"#;

/// Returns a world in which token responses have these members in addition, or without those that are `null`.
fn world_with(config: &str, members: &str) -> World {
    let mut world = World::with(config);
    world.provider.more_members = object(members);
    world
}

fn refresh(world: &mut World, page: PortId) {
    world.expire_access_token();
    world.fetch(page, "/orders");
    world.answer_all();
}

// claim: network-5
#[test]
fn claim_with_a_token_fails_the_login() {
    let mut world = world_with(
        NAMED,
        r#"{"access_token": "the-token-that-repeats", "name": "the-token-that-repeats"}"#,
    );
    let page = world.open();
    let login = world.sign_in(page);
    assert_eq!(world.code(login), "token_response_invalid");
    assert!(world.error_message(login).contains("contains a token"));
}

#[test]
fn refresh_need_not_identify_the_user() {
    let (mut world, page) = World::signed_in_with(NAMED);
    world.provider.more_members = object(r#"{"user_id": null, "name": "Alice B."}"#);
    refresh(&mut world, page);
    assert_eq!(claims(&world, page), r#"{"sub":"alice","name":"Alice B."}"#);
}

#[test]
fn calls_of_an_unidentified_user_are_not_sent_for_the_next_one() {
    let (mut world, page) = World::signed_in_with(NOBODY);
    world.expire_access_token();
    world.hold(&[kit::world::REFRESH]);
    let call = world.fetch(page, "/orders");
    let next = world.open();
    world.sign_in(next);
    world.release();
    assert_eq!(world.code(call), Code::SessionEnded.as_str());
}

#[test]
fn token_without_lifetime_is_used_until_refused() {
    // With OpenID Connect, too.
    for config in [NOBODY, "{}"] {
        is_used_until_refused(config);
    }
}

fn is_used_until_refused(config: &str) {
    let mut world = World::with(config);
    world.provider.issues_refresh_tokens = false;
    world.provider.lifetime = Duration::from_secs(40 * 24 * 3600);
    world.provider.more_members = object(r#"{"expires_in": null}"#);
    let page = world.open();
    world.sign_in(page);
    world.advance(Duration::from_secs(1700));
    let call = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.status(call), 200);
    let session = world.session(page).unwrap();
    assert_eq!(
        session.get("accessTokenExpiresAt"),
        session.get("expiresAt")
    );
    world.provider.withdraw_access_tokens();
    world.watch.expect_request_for_user();
    let refused = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.status(refused), 401);
    let session = world.session(page).unwrap();
    assert_eq!(session.str("state"), Some("interaction_required"));
    // Limits of the session apply as usual.
    world.advance(Duration::from_secs(1800));
    assert_eq!(world.reason(page), Some("idle"));
}

#[test]
fn new_token_without_lifetime_that_is_refused_asks_for_no_login() {
    for (seconds, is_asked) in [(29, false), (30, true)] {
        let mut world = World::with(NOBODY);
        world.provider.issues_refresh_tokens = false;
        world.provider.more_members = object(r#"{"expires_in": null}"#);
        let page = world.open();
        world.sign_in(page);
        world.advance(Duration::from_secs(seconds));
        world.provider.withdraw_access_tokens();
        if is_asked {
            world.watch.expect_request_for_user();
        }
        let refused = world.fetch(page, "/orders");
        world.answer_all();
        assert_eq!(world.status(refused), 401);
        let session = world.session(page).unwrap();
        assert_eq!(
            session.str("state") == Some("interaction_required"),
            is_asked
        );
    }
}

#[test]
fn missing_token_type_is_a_warning() {
    let mut world = world_with(NOBODY, r#"{"token_type": null}"#);
    let page = world.open();
    world.sign_in(page);
    assert_eq!(world.warnings(page), ["token_response_invalid"]);
    refresh(&mut world, page);
    assert_eq!(world.warnings(page).len(), 1);
}

#[test]
fn options_of_openid_connect_are_refused() {
    let mut world = World::with(NOBODY);
    let page = world.open();
    for option in [r#""prompt":"none""#, r#""acrValues":"x""#, r#""maxAge":60"#] {
        let members = [r#""t":"login","mode":"redirect","#, option].concat();
        let login = world.ask(page, &members);
        world.answer_all();
        assert_eq!(world.code(login), "message_invalid", "{option}");
        assert!(world.error_message(login).contains("OpenID Connect"));
    }
}

#[test]
fn stored_session_keeps_its_claims() {
    let config = NAMED.replacen('{', r#"{ "session": { "persist": "sealed" },"#, 1);
    let (mut world, _) = World::signed_in_with(&config);
    world.restart();
    let page = world.open();
    world.answer_all();
    assert_eq!(claims(&world, page), r#"{"sub":"alice","name":"0"}"#);
    refresh(&mut world, page);
    assert_eq!(claims(&world, page), r#"{"sub":"alice","name":"0"}"#);
}

#[test]
fn session_does_not_continue_with_another_sub() {
    let sealed = |config: &str| config.replacen('{', r#"{ "session": { "persist": "sealed" },"#, 1);
    let (mut world, _) = World::signed_in_with(&sealed(NAMED));
    world.reconfigure(&sealed(&NAMED.replace("user_id", "name")));
    world.restart();
    let page = world.open();
    world.answer_all();
    assert!(world.session(page).is_none());
}

#[test]
fn empty_scope_requests_no_scope() {
    let mut world = World::with(r#"{ "scope": "", "identity": "none" }"#);
    let page = world.open();
    world.sign_in(page);
    assert_eq!(claims(&world, page), "{}");
}

#[test]
fn session_of_openid_connect_does_not_continue_without_it() {
    let (mut world, _) = World::signed_in_with(r#"{ "session": { "persist": "sealed" } }"#);
    world.reconfigure(&NAMED.replacen('{', r#"{ "session": { "persist": "sealed" },"#, 1));
    world.restart();
    let page = world.open();
    world.answer_all();
    assert!(world.session(page).is_none());
}
