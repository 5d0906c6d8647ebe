//! The vault uses the provider's time if a response contains it, unless the response may be old.

use kit::world::{Endpoint, World};
use vault::PortId;

const TWO_HOURS: i64 = 7_200_000;

/// Returns the user's name in the session after a refresh whose ID token has the name "Alicia".
fn name_after_refresh(world: &mut World, page: PortId) -> String {
    world.provider.name = Some("Alicia");
    world.expire_access_token();
    world.fetch(page, "/orders");
    world.answer_all();
    let claims = world.session(page).unwrap().get("claims").unwrap();
    claims.as_object().unwrap().str("name").unwrap().to_owned()
}

#[test]
fn cached_date_does_not_move_the_clock() {
    for endpoint in [Endpoint::Discovery, Endpoint::Keys] {
        for off in [-TWO_HOURS, TWO_HOURS] {
            let mut world = World::new();
            world.provider.dates_off.insert(endpoint, off);
            let page = world.open();
            world.sign_in(page);
            assert!(world.session(page).is_some(), "{endpoint:?} {off}");
        }
    }
}

#[test]
fn date_of_a_code_exchange_moves_the_clock() {
    for (tells_time, is_signed_in) in [(false, false), (true, true)] {
        let mut world = World::new();
        if tells_time {
            world.provider.dates_off.insert(Endpoint::Exchange, 0);
        }
        world.set_clock_by(-7200);
        let page = world.open();
        world.sign_in(page);
        assert_eq!(world.session(page).is_some(), is_signed_in);
    }
}

#[test]
fn date_of_a_refresh_moves_the_clock() {
    for (tells_time, name) in [(false, "Alice"), (true, "Alicia")] {
        let (mut world, page) = World::signed_in();
        if tells_time {
            world.provider.dates_off.insert(Endpoint::Refresh, 0);
        }
        world.set_clock_by(-7200);
        // Without the provider's time, the new ID token seems to be from the future and is ignored.
        assert_eq!(name_after_refresh(&mut world, page), name);
    }
}
