//! The key in escrow is handed over when a worker that starts later may need it.

use std::time::Duration;

use crate::keeping::SEALED;
use kit::world::World;

const ESCROW: &str = r#"{"session":{"persist":"escrow"}}"#;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// How often the key is handed over while this happens.
fn hand_overs(world: &mut World, what: impl FnOnce(&mut World)) -> u32 {
    let before = world.hand_overs;
    what(world);
    world.settle();
    world.hand_overs - before
}

#[test]
fn it_is_handed_over_when_a_page_leaves_is_shown_or_used() {
    let (mut world, page) = World::signed_in_with(ESCROW);
    for text in [r#"{"t":"active"}"#, r#"{"t":"woke"}"#, r#"{"t":"bye"}"#] {
        assert_eq!(
            hand_overs(&mut world, |world| world.say(page, text)),
            1,
            "{text}"
        );
    }
}

#[test]
fn while_somebody_is_there_no_service_worker_is_idle_for_half_a_minute() {
    let (mut world, page) = World::signed_in_with(ESCROW);
    world.advance(seconds(100));
    world.say(page, r#"{"t":"active"}"#);
    world.settle();
    for _ in 0..9 {
        assert!(hand_overs(&mut world, |world| world.advance(seconds(30))) >= 1);
    }
}

#[test]
fn who_has_just_signed_in_is_there() {
    let (mut world, _) = World::signed_in_with(ESCROW);
    assert!(hand_overs(&mut world, |world| world.advance(seconds(30))) >= 1);
}

#[test]
fn when_nobody_is_there_it_is_left_alone() {
    let (mut world, page) = World::signed_in_with(ESCROW);
    world.say(page, r#"{"t":"active"}"#);
    world.advance(seconds(301));
    assert_eq!(
        hand_overs(&mut world, |world| world.advance(seconds(600))),
        0
    );
}

#[test]
fn without_a_session_there_is_nothing_to_hand_over() {
    let (mut world, page) = World::signed_in_with(ESCROW);
    world.logout(page);
    world.settle();
    let others = |world: &mut World| {
        world.say(page, r#"{"t":"woke"}"#);
        world.advance(seconds(60));
    };
    assert_eq!(hand_overs(&mut world, others), 0);
}

#[test]
fn a_key_that_is_in_the_store_is_handed_over_to_nobody() {
    for config in [SEALED, "{}"] {
        let (mut world, page) = World::signed_in_with(config);
        world.say(page, r#"{"t":"woke"}"#);
        world.say(page, r#"{"t":"bye"}"#);
        world.settle();
        assert_eq!(world.hand_overs, 0, "{config}");
    }
}
