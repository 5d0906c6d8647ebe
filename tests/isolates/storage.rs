//! A rolling deployment changes `session.storage`: processes with both values serve the same sessions.

use crate::{both_storages, served};
use kit_isolates::{COOKIE, Fault, Setup, Site, World};

/// Creates a world in which Alice is signed in, and in which isolate 1 was then replaced by an isolate with the other
/// storage.
fn half_deployed(setup: &Setup) -> (World, usize) {
    let mut world = World::new(setup.clone());
    let alice = world.signed_in("alice", 0);
    for isolate in [0, 1] {
        let call = world.call(alice, isolate);
        world.answer_all();
        assert!(served(&world, call));
    }
    world.setup.in_store = !setup.in_store;
    world.kill(1);
    (world, alice)
}

#[test]
fn no_storage_change_signs_users_out() {
    for setup in both_storages(2) {
        for lifetime in [60_000, 3_600_000] {
            let (mut world, alice) = half_deployed(&setup);
            world.provider.lifetime = lifetime;
            for round in 0..600 {
                let call = world.call(alice, round % 2);
                world.answer_all();
                assert!(
                    served(&world, call),
                    "{round}: {:?}",
                    world.visits[call].given
                );
                world.pass(1000);
            }
            assert!(world.watch.ends.is_empty());
        }
    }
}

#[test]
fn session_keeps_its_storage_until_new_cookie() {
    for setup in both_storages(2) {
        let (mut world, alice) = half_deployed(&setup);
        world.pass(30_000);
        let mut cookies = Vec::new();
        for round in 0..600 {
            let call = world.call(alice, round % 2);
            world.answer_all();
            assert!(served(&world, call));
            cookies.push(world.browsers[alice].jar[COOKIE].clone());
            world.pass(500);
        }
        cookies.dedup();
        // In these five minutes the access token expires five times, and activity is recorded every minute.
        assert!((2..=12).contains(&cookies.len()), "{}", cookies.len());
    }
}

#[test]
fn requests_at_once_record_activity_once() {
    let [_, setup] = both_storages(2);
    let mut world = World::new(setup);
    world.provider.lifetime = 600_000;
    let alice = world.signed_in("alice", 0);
    world.pass(100_000);
    let writes = |world: &World| {
        let writes = world.sent.iter().filter(|(_, site)| *site == Site::Swap);
        writes.count()
    };
    let before = writes(&world);
    // The requests arrive one after the other, and each of them is later activity.
    world.weather.uneven = true;
    for _ in 0..50 {
        world.call(alice, 0);
        world.pass(1);
    }
    world.answer_all();
    assert_eq!(writes(&world), before + 1);
}

#[test]
fn parallel_requests_survive_a_storage_change() {
    for setup in both_storages(2) {
        let (mut world, alice) = half_deployed(&setup);
        world.weather.uneven = true;
        for round in 0..200 {
            let calls: Vec<_> = (0..6).map(|i| world.call(alice, i % 2)).collect();
            world.answer_all();
            for call in calls {
                assert!(
                    served(&world, call),
                    "{round}: {:?}",
                    world.visits[call].given
                );
            }
            world.pass(20_000);
        }
        assert!(world.watch.ends.is_empty());
    }
}

#[test]
fn refreshed_session_moves_only_if_written() {
    let (mut world, alice) = half_deployed(&Setup::default());
    world.pass(61_000);
    // The write of the intent succeeds, and the later writes fail.
    world.fault(Site::Swap, None);
    for _ in 0..7 {
        world.fault(Site::Swap, Fault::LostBefore);
    }
    let call = world.call(alice, 1);
    world.answer_all();
    assert!(served(&world, call));
    world.kill(1);
    world.pass(10_000);
    for isolate in [0, 1] {
        let call = world.call(alice, isolate);
        world.answer_all();
        assert!(served(&world, call));
    }
    assert_eq!(world.watch.rotations, 1);
}

// claim: handler-54
#[test]
fn session_that_ended_during_its_move_stays_ended() {
    let (mut world, alice) = half_deployed(&Setup::default());
    let copy = world.copy_of(alice);
    world.pass(61_000);
    world.fault(Site::Api, Fault::Slow(200, 200));
    let moving = world.call(alice, 1);
    world.pass(100);
    world.log_out(alice, 0);
    world.answer_all();
    assert!(served(&world, moving));
    assert!(!world.browsers[alice].jar.contains_key(COOKIE));
    // An isolate without a cache reads the record.
    world.kill(1);
    let call = world.call(copy, 1);
    world.answer_all();
    assert!(!served(&world, call));
}

// claim: handler-54
#[test]
fn reference_to_a_moved_session_is_never_replayed() {
    let mut world = World::new(Setup {
        isolates: 3,
        recheck: 3600,
        ..Setup::default()
    });
    let alice = world.signed_in("alice", 0);
    // Isolate 2 knows the first successor, and isolate 0 the second one. Both were in cookies.
    for isolate in [2, 0] {
        world.pass(61_000);
        for _ in 0..2 {
            let call = world.call(alice, isolate);
            world.answer_all();
            assert!(served(&world, call));
        }
    }
    world.setup.in_store = true;
    world.kill(1);
    world.pass(61_000);
    for isolate in [1, 2] {
        let call = world.call(alice, isolate);
        world.answer_all();
        assert!(served(&world, call));
    }
}

#[test]
fn bound_session_survives_a_change_of_its_storage() {
    for setup in both_storages(2) {
        let mut world = World::new(Setup {
            binds: true,
            ..setup
        });
        world.provider.lifetime = 3_600_000;
        let alice = world.signed_in("alice", 0);
        world.pass(100);
        assert_eq!(world.watch.registrations, 1);
        world.setup.in_store = !world.setup.in_store;
        world.kill(1);
        for round in 0..300 {
            // The response of the isolate that stores the session comes last.
            let mut calls = vec![world.call(alice, 0), world.call(alice, 1)];
            world.answer_all();
            calls.push(world.call(alice, 0));
            world.answer_all();
            for call in calls {
                let given = &world.visits[call].given;
                assert!(served(&world, call), "{round}: {given:?}");
            }
            world.pass(8000);
        }
        assert!(world.watch.ends.is_empty());
        assert!(world.watch.renewals > 2);
    }
}
