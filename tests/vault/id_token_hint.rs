//! The option `idTokenHint`: the address of a logout at the provider has the ID token of the session that has ended.

use kit::world::provider::params;
use kit::world::{REVOKE, Request, World};
use vault::PortId;

const HINTED: &str = r#"{"idTokenHint": true}"#;
const PROVIDER_LOGOUT: &str = r#""t":"logout","provider":true"#;

/// Returns the hint in the address of a logout, if it has one.
fn hint(world: &World, logout: Request) -> Option<String> {
    let address = world.address(logout);
    params(address.split_once('?').unwrap().1)
        .get("id_token_hint")
        .cloned()
}

fn refresh(world: &mut World, page: PortId) {
    world.expire_access_token();
    world.fetch(page, "/orders");
    world.answer_all();
}

#[test]
fn hint_is_the_latest_id_token() {
    let (mut world, page) = World::signed_in_with(HINTED);
    world.provider.id_token_on_refresh = true;
    let first = world.provider.newest_id_token().to_owned();
    refresh(&mut world, page);
    let latest = world.provider.newest_id_token().to_owned();
    assert_ne!(first, latest);
    let logout = world.ask(page, PROVIDER_LOGOUT);
    world.answer_all();
    assert_eq!(hint(&world, logout), Some(latest));
}

#[test]
fn hint_comes_after_the_first_attempt_to_revoke() {
    let (mut world, page) = World::signed_in_with(HINTED);
    world.hold(&[REVOKE]);
    let logout = world.ask(page, PROVIDER_LOGOUT);
    world.answer_all();
    assert!(world.session(page).is_none());
    assert_eq!(world.response(logout), None);
    world.release();
    assert!(hint(&world, logout).is_some());
}

// claim: script-15
#[test]
fn logout_without_a_session_has_no_hint() {
    let (mut world, page) = World::signed_in_with(HINTED);
    let logouts = [0, 1].map(|_| world.ask(page, PROVIDER_LOGOUT));
    world.answer_all();
    let hints = logouts.map(|logout| hint(&world, logout).is_some());
    assert_eq!(hints, [true, false]);
}

#[test]
fn logout_here_only_has_no_address() {
    let (mut world, page) = World::signed_in_with(HINTED);
    let logout = world.logout(page);
    world.answer_all();
    assert_eq!(
        world.response(logout),
        Some(&kit::world::PageResponse::Done(None))
    );
}

// claim: script-15
#[test]
fn without_the_option_there_is_no_hint() {
    for config in ["{}", r#"{"idTokenHint": false}"#] {
        let (mut world, page) = World::signed_in_with(config);
        let logout = world.ask(page, PROVIDER_LOGOUT);
        world.answer_all();
        assert_eq!(hint(&world, logout), None);
    }
}

#[test]
fn stored_session_has_a_hint_after_a_restart() {
    let (mut world, _) =
        World::signed_in_with(r#"{"idTokenHint": true, "session": {"persist": "sealed"}}"#);
    let id_token = world.provider.newest_id_token().to_owned();
    world.restart();
    let page = world.open();
    world.answer_all();
    let logout = world.ask(page, PROVIDER_LOGOUT);
    world.answer_all();
    assert_eq!(hint(&world, logout), Some(id_token));
}

// claim: script-5, script-15
#[test]
fn frame_of_a_vault_origin_refuses_the_option() {
    for (config, is_refused) in [(HINTED, true), ("{}", false)] {
        let mut world = World::with(config);
        let page = world.open_framed();
        assert_eq!(world.has_failed(page), is_refused);
        if is_refused {
            assert_eq!(world.failure(page), "config_invalid");
        }
        // Pages of the vault's own origin are not concerned, and no script can claim that they are.
        for hello in [
            r#"{"t":"hello","version":1,"framed":true}"#,
            r#"{"t":"hello","version":1}"#,
        ] {
            let page = world.open_saying(hello);
            assert!(!world.has_failed(page));
        }
    }
}

#[test]
fn developer_who_sends_the_hint_is_told_nothing() {
    let warnings = crate::logout::logout_warnings(World::on_loopback(HINTED));
    assert!(warnings.is_empty());
}
