//! A coordinator or a provider that is down: what is still valid goes on being used, what is not is put off, and nobody is
//! logged out.

use crate::world::provider::Endpoint;
use crate::world::{COOKIE, Fault, Setup, Site, World};
use crate::{both_storages, served};

const REFRESH: Site = Site::Provider(Endpoint::Refresh);

#[test]
fn a_valid_access_token_is_used_while_coordinator_and_provider_are_down() {
    for setup in both_storages(2) {
        let mut world = World::new(setup);
        let alice = world.signed_in("alice", 0);
        let known = world.call(alice, 0);
        world.settle();
        assert!(served(&world, known));
        world.weather.coordinator_down = true;
        world.weather.provider_down = true;
        // It is about to expire by now, so a refresh is tried.
        world.pass(55_000);
        let call = world.call(alice, 0);
        world.settle();
        assert!(served(&world, call));
    }
}

#[test]
fn without_a_valid_one_the_answer_is_later_and_the_session_is_kept() {
    for setup in both_storages(2) {
        for (coordinator, provider) in [(true, false), (false, true), (true, true)] {
            let mut world = World::new(setup.clone());
            let alice = world.signed_in("alice", 0);
            world.pass(61_000);
            world.weather.coordinator_down = coordinator;
            world.weather.provider_down = provider;
            let call = world.call(alice, 0);
            world.settle();
            let given = world.visits[call].given.clone().unwrap();
            assert_eq!(given.status, 503, "{}", given.body);
            assert!(given.header("retry-after").is_some() && given.cookies.is_empty());
            world.weather.coordinator_down = false;
            world.weather.provider_down = false;
            world.pass(60_000);
            let again = world.call(alice, 1);
            world.settle();
            assert!(served(&world, again));
        }
    }
}

#[test]
fn what_the_user_does_while_the_coordinator_is_down_counts_where_it_was_seen() {
    for is_up_again in [false, true] {
        let mut world = World::new(Setup {
            in_store: true,
            idle: 400,
            ..Setup::default()
        });
        world.provider.lifetime = 3_600_000;
        let alice = world.signed_in("alice", 0);
        let known = world.call(alice, 0);
        world.settle();
        assert!(served(&world, known));
        world.weather.coordinator_down = true;
        world.pass(350_000);
        let call = world.call(alice, 0);
        world.settle();
        assert!(served(&world, call));
        world.weather.coordinator_down = !is_up_again;
        world.pass(350_000);
        let later = world.call(alice, 0);
        world.settle();
        assert!(served(&world, later), "{:?}", world.visits[later].given);
    }
}

#[test]
fn a_successor_that_one_request_has_met_is_enough_for_those_that_failed() {
    let mut world = World::new(Setup {
        in_store: true,
        ..Setup::default()
    });
    let alice = world.signed_in("alice", 0);
    world.pass(61_000);
    world.call(alice, 1);
    world.settle();
    assert!(world.browsers[alice].jar.contains_key(COOKIE));
    // This isolate had the session before it was refreshed elsewhere.
    let call = world.call(alice, 0);
    world.settle();
    assert!(served(&world, call));
    assert_eq!(world.watch.rotations, 1);
}

#[test]
fn a_provider_that_asks_for_patience_is_not_asked_again_before_that() {
    for setup in both_storages(1) {
        let mut world = World::new(setup);
        let alice = world.signed_in("alice", 0);
        world.pass(61_000);
        world.fault(REFRESH, Fault::Busy(30));
        for _ in 0..5 {
            let call = world.call(alice, 0);
            world.settle();
            assert!(!served(&world, call));
        }
        assert_eq!(world.watch.rotations, 0);
        world.pass(30_000);
        let call = world.call(alice, 0);
        world.settle();
        assert!(served(&world, call));
    }
}

#[test]
fn success_in_another_isolate_restores_a_suspected_session() {
    for setup in both_storages(2) {
        let mut world = World::new(setup);
        let alice = world.signed_in("alice", 0);
        world.pass(61_000);
        for _ in 0..3 {
            world.fault(REFRESH, Fault::Unexplained);
        }
        let refused = world.call(alice, 0);
        world.settle();
        let given = world.visits[refused].given.clone().unwrap();
        assert_eq!(given.status, 401);
        assert!(given.body.contains("interaction_required") && given.cookies.is_empty());
        let elsewhere = world.call(alice, 1);
        world.settle();
        assert!(served(&world, elsewhere));
        // The access token that came of it is stale again before five minutes have passed.
        world.pass(61_000);
        let call = world.call(alice, 0);
        world.settle();
        assert!(served(&world, call), "{:?}", world.visits[call].given);
    }
}
