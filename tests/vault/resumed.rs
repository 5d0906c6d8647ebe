//! A page is told where the session came from that it found.

use crate::keeping::SEALED;
use kit::world::World;

/// What the greeting of a page said.
fn from(world: &World, page: u32) -> Option<&str> {
    world
        .page(page)
        .of_type("ready")
        .last()
        .unwrap()
        .str("from")
}

#[test]
fn the_page_whose_worker_begins_with_a_session_has_it_from_storage() {
    let (mut world, _) = World::signed_in_with(SEALED);
    world.restart();
    let first = world.open();
    world.settle();
    let second = world.open();
    world.settle();
    assert_eq!(from(&world, first), Some("storage"));
    assert_eq!(from(&world, second), None);
    assert!(world.session(second).is_some());
}

#[test]
fn where_nothing_was_kept_nothing_came_from_there() {
    let mut world = World::with(SEALED);
    let page = world.open();
    world.settle();
    assert_eq!(from(&world, page), None);
}

#[test]
fn a_session_in_memory_comes_from_nowhere_else() {
    let (mut world, _) = World::signed_in();
    let page = world.open();
    world.settle();
    assert_eq!(from(&world, page), None);
}

#[test]
fn a_session_whose_key_was_in_escrow_says_so() {
    let (mut world, _) = World::signed_in_with(r#"{"session":{"persist":"escrow"}}"#);
    world.restart();
    let page = world.open();
    world.settle();
    assert_eq!(from(&world, page), Some("escrow"));
}
