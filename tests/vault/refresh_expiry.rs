//! What follows in the vault alone from the lifetime of a refresh token: `tests/both/refresh_expiry.rs` has the rest.

use std::time::Duration;

use kit::world::{INSPECTED, REFRESH, STORAGES, World};
use rules::codec::json::{Object, Value};
use vault::PortId;

const LIFETIME: u64 = 900;

fn state(world: &mut World, name: &str, seconds: u64) {
    let mut members = Object::new();
    members.push(name, seconds.into());
    world.provider.more_members = members;
}

/// Returns a world with a session whose refresh token lives for [`LIFETIME`] seconds, and whose access token lives for
/// 300 seconds.
fn signed_in(config: &str) -> (World, PortId) {
    let mut world = World::with(config);
    state(&mut world, "refresh_expires_in", LIFETIME);
    let page = world.open();
    world.sign_in(page);
    (world, page)
}

fn time(world: &World, page: PortId, name: &str) -> u64 {
    let session = world.session(page).unwrap();
    session.get(name).and_then(Value::as_u64).unwrap()
}

fn call(world: &mut World, page: PortId) {
    let call = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.status(call), 200);
}

/// Returns the times in the messages `expiring` to a page.
fn warnings(world: &World, page: PortId) -> Vec<u64> {
    let messages = world.page(page).of_type("expiring");
    messages
        .map(|text| text.get("at").unwrap().as_u64().unwrap())
        .collect()
}

#[test]
fn pages_are_warned_before_the_refresh_token_expires() {
    let (mut world, page) = signed_in(INSPECTED);
    let began = time(&world, page, "startedAt");
    world.advance(Duration::from_secs(LIFETIME - 61));
    assert!(warnings(&world, page).is_empty());
    world.advance(Duration::from_secs(2));
    assert_eq!(warnings(&world, page), [began + LIFETIME * 1000]);
    call(&mut world, page);
    world.advance(Duration::from_secs(LIFETIME - 70));
    assert_eq!(warnings(&world, page).len(), 1);
    world.advance(Duration::from_secs(20));
    assert_eq!(warnings(&world, page).len(), 2);
}

/// Only the provider knows if the token has expired: it may have extended the lifetime.
#[test]
fn stated_expiry_ends_no_session() {
    for storage in STORAGES {
        let (mut world, page) = signed_in(storage);
        world.advance(Duration::from_secs(LIFETIME + 100));
        assert!(world.session(page).is_some());
        assert_eq!(warnings(&world, page).len(), 1);
        assert_eq!(world.count(REFRESH), 0);
        call(&mut world, page);
        assert_eq!(world.count(REFRESH), 1);
    }
}

#[test]
fn token_of_an_api_extends_the_session() {
    let apis = r#"{"scope":"openid offline_access","apis":[
        { "url": "https://api.example.com/v1/", "resource": "urn:orders" }]}"#;
    let (mut world, page) = signed_in(apis);
    world.provider.resources = vec!["urn:orders"];
    world.checkers.entry(kit::world::API).or_default().resource = Some("urn:orders");
    let began = time(&world, page, "startedAt");
    world.advance(Duration::from_secs(200));
    call(&mut world, page);
    assert_eq!(
        time(&world, page, "expiresAt"),
        began + (200 + LIFETIME) * 1000
    );
}
