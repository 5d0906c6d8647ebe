//! The vault hands its key to the escrow whenever a worker that starts later may need the key.

use std::time::Duration;

use crate::keeping::SEALED;
use kit::world::World;

const ESCROW: &str = r#"{"session":{"persist":"escrow"}}"#;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Returns a page's message without members.
fn message(name: &str) -> String {
    format!(r#"{{"t":"{name}"}}"#)
}

/// Returns the number of times that the vault hands over its key during an action.
fn hand_overs(world: &mut World, what: impl FnOnce(&mut World)) -> u32 {
    let before = world.hand_overs;
    what(world);
    world.answer_all();
    world.hand_overs - before
}

#[test]
fn key_is_handed_over_on_page_events() {
    let (mut world, page) = World::signed_in_with(ESCROW);
    for name in ["active", "visible", "hidden", "online", "bye"] {
        let text = message(name);
        assert_eq!(
            hand_overs(&mut world, |world| world.say(page, &text)),
            1,
            "{name}"
        );
    }
}

#[test]
fn present_users_keep_the_escrow_alive() {
    for name in ["active", "visible", "hidden", "online"] {
        let (mut world, page) = World::signed_in_with(ESCROW);
        world.advance(seconds(100));
        world.say(page, &message(name));
        world.answer_all();
        for _ in 0..9 {
            let count = hand_overs(&mut world, |world| world.advance(seconds(30)));
            assert!(count >= 1, "{name}");
        }
    }
}

#[test]
fn login_counts_as_presence() {
    let (mut world, _) = World::signed_in_with(ESCROW);
    assert!(hand_overs(&mut world, |world| world.advance(seconds(30))) >= 1);
}

#[test]
fn absent_users_cause_no_hand_over() {
    let (mut world, page) = World::signed_in_with(ESCROW);
    world.say(page, r#"{"t":"active"}"#);
    world.advance(seconds(301));
    assert_eq!(
        hand_overs(&mut world, |world| world.advance(seconds(600))),
        0
    );
}

#[test]
fn no_hand_over_without_a_session() {
    let (mut world, page) = World::signed_in_with(ESCROW);
    world.logout(page);
    world.answer_all();
    let others = |world: &mut World| {
        for name in ["visible", "hidden", "online"] {
            world.say(page, &message(name));
        }
        world.advance(seconds(60));
    };
    assert_eq!(hand_overs(&mut world, others), 0);
}

#[test]
fn stored_key_is_not_handed_over() {
    for config in [SEALED, "{}"] {
        let (mut world, page) = World::signed_in_with(config);
        for name in ["visible", "hidden", "online", "bye"] {
            world.say(page, &message(name));
        }
        world.answer_all();
        assert_eq!(world.hand_overs, 0, "{config}");
    }
}
