//! All isolates share one refresh: only one isolate sends the refresh token, and the others get the new tokens.

use crate::{both_storages, expired, served, took};
use kit_isolates::provider::Endpoint;
use kit_isolates::{Fault, Purpose, Setup, Site, World};

const REFRESH: Site = Site::Provider(Endpoint::Refresh);

// claim: handler-46
#[test]
fn expired_session_is_refreshed_once_across_isolates() {
    for setup in both_storages(4) {
        let (mut world, alice) = expired(setup);
        let calls: Vec<_> = (0..1000).map(|i| world.call(alice, i % 4)).collect();
        world.answer_all();
        assert!(calls.into_iter().all(|call| served(&world, call)));
        assert_eq!(world.watch.rotations, 1);
    }
}

#[test]
fn waiting_isolate_is_served_after_slow_provider_response() {
    for setup in both_storages(2) {
        let (mut world, alice) = expired(setup);
        world.fault(REFRESH, Fault::Slow(2000, 2000));
        let first = world.call(alice, 0);
        world.pass(100);
        let second = world.call(alice, 1);
        world.answer_all();
        assert!(served(&world, first) && served(&world, second));
        assert_eq!(world.watch.rotations, 1);
    }
}

#[test]
fn refresh_finishes_after_disconnect() {
    for setup in both_storages(2) {
        let (mut world, alice) = expired(setup);
        world.fault(REFRESH, Fault::Slow(500, 500));
        let left = world.call(alice, 0);
        world.pass(100);
        world.abandon(left);
        world.answer_all();
        let next = world.call(alice, 1);
        world.answer_all();
        assert!(served(&world, next));
        assert_eq!(world.watch.rotations, 1);
        assert!(world.visits[left].given.is_none());
    }
}

#[test]
fn request_abandoned_before_refresh_is_forgotten() {
    let mut world = World::new(Setup::default());
    let alice = world.signed_in("alice", 0);
    let left = world.call(alice, 0);
    world.abandon(left);
    assert!(!world.is_busy());
}

#[test]
fn lost_commit_response_is_recovered() {
    for setup in both_storages(2) {
        let (mut world, alice) = expired(setup);
        world.fault(Site::Swap, None);
        world.fault(Site::Swap, Fault::LostAfter);
        let first = world.call(alice, 0);
        world.answer_all();
        let second = world.call(alice, 1);
        world.answer_all();
        assert!(served(&world, first) && served(&world, second));
        assert_eq!(world.watch.rotations, 1);
    }
}

// claim: handler-46
#[test]
fn failed_commit_is_repeated_later() {
    for setup in both_storages(2) {
        let (mut world, alice) = expired(setup);
        world.fault(Site::Swap, None);
        for _ in 0..5 {
            world.fault(Site::Swap, Fault::LostBefore);
        }
        // The browser never receives the response's cookie, so only the isolate has the new tokens.
        world.weather.lost_responses = 100;
        let first = world.call(alice, 0);
        world.answer_all();
        world.weather.lost_responses = 0;
        assert!(served(&world, first));
        world.pass(11_000);
        let second = world.call(alice, 0);
        world.answer_all();
        let third = world.call(alice, 1);
        world.answer_all();
        assert!(served(&world, second) && served(&world, third));
        assert_eq!(world.watch.rotations, 1);
    }
}

#[test]
fn isolate_does_not_wait_for_own_lost_intent() {
    for setup in both_storages(1) {
        let (mut world, alice) = expired(setup);
        world.fault(Site::Swap, Fault::LostAfter);
        let call = world.call(alice, 0);
        world.answer_all();
        assert!(served(&world, call));
        assert_eq!(world.watch.rotations, 1);
        assert!(world.visits[call].given.as_ref().unwrap().at < world.visits[call].began + 5000);
    }
}

#[test]
fn refresh_that_waits_for_keys_is_not_begun_again() {
    for setup in both_storages(2) {
        let mut world = World::new(setup);
        let users = ["alice", "bob"].map(|user| world.signed_in(user, 0));
        world.pass(61_000);
        // The refresh of the first session fetches the keys, in vain, and that of the second waits for this fetch.
        world.fault(Site::Provider(Endpoint::Keys), Fault::LostBefore);
        world.call(users[0], 1);
        world.pass(300);
        world.call(users[1], 1);
        world.pass(9400);
        world.call(users[1], 1);
        world.answer_all();
        let refreshes = world.visits.iter();
        let refreshes = refreshes.filter(|visit| visit.purpose == Purpose::Refresh);
        assert_eq!(refreshes.count(), 2);
    }
}

#[test]
fn failed_refresh_does_not_delay_other_isolates() {
    for setup in both_storages(2) {
        let (mut world, alice) = expired(setup);
        for _ in 0..3 {
            world.fault(REFRESH, Fault::Status(503));
        }
        let failed = world.call(alice, 0);
        world.answer_all();
        assert!(!served(&world, failed));
        let other = world.call(alice, 1);
        world.answer_all();
        assert!(served(&world, other));
        assert!(world.visits[other].given.as_ref().unwrap().at < world.visits[other].began + 1000);
    }
}

// claim: handler-48
#[test]
fn dead_isolate_blocks_for_under_ten_seconds() {
    for setup in both_storages(2) {
        let (mut world, alice) = expired(setup);
        world.fault(REFRESH, Fault::LostBefore);
        world.call(alice, 0);
        world.pass(1000);
        world.kill(0);
        let next = world.call(alice, 1);
        world.answer_all();
        assert!(served(&world, next), "{:?}", world.visits[next].given);
        let took = took(&world, next);
        assert!((6000..9000).contains(&took), "{took}");
    }
}

#[test]
fn clock_ahead_causes_no_second_refresh() {
    for setup in both_storages(2) {
        let (mut world, alice) = expired(Setup {
            request_timeout: 20,
            skews: vec![0, 2000],
            ..setup
        });
        world.fault(REFRESH, Fault::LostBefore);
        world.call(alice, 1);
        world.pass(100);
        let first = world.call(alice, 0);
        world.pass(50);
        world.kill(1);
        world.fault(REFRESH, Fault::Slow(1, 2000));
        world.fault(REFRESH, Fault::Slow(1, 2000));
        // The intent of isolate 1 expires after 10 s by the clock of isolate 0.
        world.pass(9300);
        let second = world.call(alice, 0);
        world.answer_all();
        assert!(served(&world, first) && served(&world, second));
        assert_eq!(world.watch.refreshes_sent, 2);
    }
}

// claim: handler-48
#[test]
fn dropped_request_blocks_for_under_ten_seconds() {
    for setup in both_storages(1) {
        let (mut world, alice) = expired(setup);
        world.fault(REFRESH, Fault::LostBefore);
        let dropped = world.call(alice, 0);
        world.pass(1000);
        world.drop_request(dropped);
        world.pass(8500);
        let next = world.call(alice, 0);
        world.answer_all();
        assert!(served(&world, next), "{:?}", world.visits[next].given);
        assert!(took(&world, next) < 1000);
    }
}

// claim: handler-48
#[test]
fn holder_renews_lease_while_provider_is_slow() {
    for setup in both_storages(2) {
        let (mut world, alice) = expired(Setup {
            request_timeout: 20,
            ..setup
        });
        world.fault(REFRESH, Fault::Slow(1, 12_000));
        let first = world.call(alice, 0);
        world.pass(100);
        let second = world.call(alice, 1);
        world.answer_all();
        assert!(served(&world, first) && served(&world, second));
        assert_eq!(world.watch.rotations, 1);
    }
}

/// Bob's refresh fetches the keys, and Alice's waits for them with her new tokens, for longer than a lease lasts.
#[test]
fn holder_renews_lease_while_another_flight_fetches_keys() {
    for setup in both_storages(2) {
        let mut world = World::new(setup);
        let users = ["alice", "bob"].map(|user| world.signed_in(user, 0));
        world.pass(61_000);
        for _ in 0..6 {
            world.fault(Site::Provider(Endpoint::Keys), Fault::LostBefore);
        }
        world.call(users[0], 1);
        world.pass(300);
        world.call(users[1], 1);
        world.pass(10_500);
        world.call(users[0], 0);
        world.answer_all();
        let later = world.call(users[0], 0);
        world.answer_all();
        assert!(served(&world, later));
        assert_eq!(world.watch.rotations, 2);
    }
}

#[test]
fn renewed_lease_is_committed_without_a_read() {
    let (mut world, alice) = expired(Setup {
        request_timeout: 20,
        ..Setup::default()
    });
    world.fault(REFRESH, Fault::Slow(1, 12_000));
    let call = world.call(alice, 0);
    world.pass(100);
    world.story = Some(Vec::new());
    world.answer_all();
    assert!(served(&world, call));
    let steps = world.story.take().unwrap();
    // After a slow refresh the record is read once more, before the response sets the new cookie.
    let is_committed = |line: &String| line.contains("coordinator: generation 1");
    let steps = &steps[..steps.iter().position(is_committed).unwrap()];
    let count = |step: &str| steps.iter().filter(|line| line.contains(step)).count();
    assert!(count(": Swap") > 2, "{steps:?}");
    assert_eq!(count(": Read"), 0, "{steps:?}");
}

#[test]
fn lease_renewal_survives_activity_written_elsewhere() {
    let mut world = World::new(Setup {
        in_store: true,
        request_timeout: 20,
        ..Setup::default()
    });
    world.provider.lifetime = 100_000;
    let alice = world.signed_in("alice", 0);
    world.pass(95_000);
    world.fault(REFRESH, Fault::Slow(1, 12_000));
    let first = world.poll(alice, 0);
    world.pass(100);
    let active = world.call(alice, 1);
    world.pass(9000);
    let waiting = world.call(alice, 1);
    world.answer_all();
    assert!(served(&world, first) && served(&world, active) && served(&world, waiting));
    assert_eq!(world.watch.rotations, 1);
}

// claim: handler-48
#[test]
fn lease_renewal_survives_another_isolates_write() {
    let mut world = World::new(Setup {
        request_timeout: 20,
        ..Setup::default()
    });
    world.provider.lifetime = 30_000;
    let alice = world.signed_in("alice", 0);
    // Isolate 1 first sees the cookie of generation 1 while isolate 0 is refreshing that generation.
    world.pass(31_000);
    world.call(alice, 0);
    world.answer_all();
    world.pass(27_500);
    world.fault(REFRESH, Fault::Slow(1, 12_000));
    let first = world.poll(alice, 0);
    world.pass(1000);
    let noting = world.call(alice, 1);
    world.pass(9000);
    let waiting = world.call(alice, 1);
    world.answer_all();
    assert!(served(&world, first) && served(&world, noting) && served(&world, waiting));
    assert_eq!(world.watch.rotations, 2);
}

#[test]
fn lost_request_is_resent_under_renewed_lease() {
    for setup in both_storages(2) {
        let (mut world, alice) = expired(Setup {
            request_timeout: 5,
            refresh_timeout: 5,
            ..setup
        });
        world.fault(REFRESH, Fault::LostBefore);
        world.call(alice, 0);
        world.pass(1000);
        let call = world.call(alice, 0);
        world.answer_all();
        assert!(served(&world, call), "{:?}", world.visits[call].given);
        assert!((4000..5000).contains(&took(&world, call)));
        assert_eq!(world.watch.refreshes_sent, 2);
    }
}

#[test]
fn two_slow_attempts_prevent_a_third() {
    for setup in both_storages(2) {
        let (mut world, alice) = expired(Setup {
            request_timeout: 5,
            refresh_timeout: 5,
            ..setup
        });
        for _ in 0..3 {
            world.fault(REFRESH, Fault::LostBefore);
        }
        let call = world.call(alice, 0);
        world.answer_all();
        let given = world.visits[call].given.as_ref().unwrap();
        assert_eq!(given.status, 503);
        assert!(took(&world, call) < 12_000);
    }
}

#[test]
fn refresh_keeps_activity_written_by_another_isolate() {
    let mut world = World::new(Setup {
        in_store: true,
        idle: 100,
        ..Setup::default()
    });
    world.provider.lifetime = 60_000;
    let alice = world.signed_in("alice", 0);
    // Both isolates know the session. When isolate 0 refreshes it at 56 s, the user was last active at 40 s.
    world.pass(40_000);
    world.call(alice, 1);
    world.answer_all();
    world.pass(16_000);
    world.fault(REFRESH, Fault::Slow(1000, 1000));
    world.poll(alice, 0);
    world.pass(500);
    let active = world.call(alice, 1);
    world.answer_all();
    assert!(served(&world, active));
    // This is less than 100 s after the user's last activity, but more than 100 s after the activity that isolate 0
    // knew when it began the refresh.
    world.pass(97_000);
    let later = world.call(alice, 0);
    world.answer_all();
    assert!(served(&world, later));
}

/// Lets isolate 0 refresh with a provider that takes four seconds, and lets the coordinator lose its last writes
/// `millis` milliseconds later. Isolate 1 waits meanwhile, and isolate 2 gets its first request after that.
fn refresh_during_failover(setup: Setup, millis: u64) -> World {
    let (mut world, alice) = expired(setup);
    let earlier = world.coordinator.clone();
    world.fault(REFRESH, Fault::Slow(1, 4000));
    let mut calls = vec![world.call(alice, 0)];
    world.pass(50);
    calls.push(world.call(alice, 1));
    world.pass(millis);
    world.fail_over(&earlier);
    // The holder renews its lease at the next beat.
    world.pass(2500);
    calls.push(world.call(alice, 2));
    world.answer_all();
    for call in calls {
        assert!(served(&world, call), "{:?}", world.visits[call].given);
    }
    world
}

// claim: handler-47
#[test]
fn lost_intent_is_still_honored() {
    for setup in both_storages(3) {
        for millis in (100..4000).step_by(300) {
            let world = refresh_during_failover(setup.clone(), millis);
            assert_eq!(world.watch.rotations, 1);
            assert!(world.watch.losses.is_empty() && world.watch.ends.is_empty());
        }
    }
}

// claim: handler-47
#[test]
fn lost_intent_of_dead_isolate_expires() {
    for setup in both_storages(2) {
        let (mut world, alice) = expired(setup);
        let earlier = world.coordinator.clone();
        world.fault(REFRESH, Fault::LostBefore);
        world.call(alice, 0);
        world.pass(50);
        let call = world.call(alice, 1);
        world.pass(50);
        world.fail_over(&earlier);
        world.kill(0);
        world.answer_all();
        assert!(served(&world, call));
        assert!((7000..10_000).contains(&took(&world, call)));
    }
}
