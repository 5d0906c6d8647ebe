//! A page that finds a session is told where the vault found the session, such as in the store.

use crate::keeping::SEALED;
use kit::world::World;
use vault::PortId;

/// Returns the place where the vault found the session, from the response to `hello`. Returns `None` if the response
/// has no such place.
fn from(world: &World, page: PortId) -> Option<&str> {
    world
        .page(page)
        .of_type("ready")
        .last()
        .unwrap()
        .str("from")
}

#[test]
fn restored_session_is_reported_as_stored() {
    let (mut world, _) = World::signed_in_with(SEALED);
    world.restart();
    let first = world.open();
    world.answer_all();
    let second = world.open();
    world.answer_all();
    assert_eq!(from(&world, first), Some("storage"));
    assert_eq!(from(&world, second), None);
    assert!(world.session(second).is_some());
}

#[test]
fn new_session_is_not_reported_as_stored() {
    let mut world = World::with(SEALED);
    let page = world.open();
    world.answer_all();
    assert_eq!(from(&world, page), None);
}

#[test]
fn memory_session_is_not_restored() {
    let (mut world, _) = World::signed_in();
    let page = world.open();
    world.answer_all();
    assert_eq!(from(&world, page), None);
}

#[test]
fn escrow_session_is_reported() {
    let (mut world, _) = World::signed_in_with(r#"{"session":{"persist":"escrow"}}"#);
    world.restart();
    let page = world.open();
    world.answer_all();
    assert_eq!(from(&world, page), Some("escrow"));
}
