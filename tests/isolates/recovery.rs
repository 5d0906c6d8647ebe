//! Isolates have different views of a session: only one of them knows a new refresh token, another isolate has taken
//! over a refresh, or the provider has rejected a refresh token.

use crate::{both_storages, expired, served, took};
use kit_isolates::provider::Endpoint;
use kit_isolates::{COOKIE, Fault, Setup, Site, VisitId, World};

const REFRESH: Site = Site::Provider(Endpoint::Refresh);

fn status(world: &World, visit: VisitId) -> u16 {
    world.visits[visit].given.as_ref().unwrap().status
}

/// Creates two browsers of one session. The first has a cookie with the new refresh token, which isolate 0 could not
/// write to the coordinator. The second has a copy of the earlier cookie.
fn uncommitted(world: &mut World) -> (usize, usize) {
    let alice = world.signed_in("alice", 0);
    let copy = world.copy_of(alice);
    world.pass(61_000);
    // The write of the intent succeeds, and the later writes fail.
    world.fault(Site::Swap, None);
    for _ in 0..5 {
        world.fault(Site::Swap, Fault::LostBefore);
    }
    let call = world.call(alice, 0);
    world.answer_all();
    assert!(served(world, call));
    (alice, copy)
}

// claim: handler-53
#[test]
fn logout_with_old_cookie_revokes_latest_token() {
    let mut world = World::new(Setup::default());
    let alice = world.signed_in("alice", 0);
    let older = world.copy_of(alice);
    world.pass(61_000);
    world.call(alice, 0);
    world.answer_all();
    world.log_out(older, 1);
    world.answer_all();
    assert!(world.provider.is_revoked(0));
    world.pass(11_000);
    let call = world.call(alice, 0);
    world.answer_all();
    assert_eq!(status(&world, call), 401);
}

// claim: handler-51
#[test]
fn refused_token_ends_session_and_is_reported() {
    for setup in both_storages(2) {
        let mut world = World::new(setup);
        let alice = world.signed_in("alice", 0);
        let copy = world.copy_of(alice);
        world.pass(61_000);
        world.provider.revoke(0);
        let call = world.call(alice, 0);
        world.answer_all();
        let given = world.visits[call].given.clone().unwrap();
        assert_eq!(given.ended(), Some("provider_ended"));
        assert!(!world.browsers[alice].jar.contains_key(COOKIE));
        // Isolate 1 learns of the end from the record, and sends no request to the provider.
        world.weather.provider_down = true;
        let other = world.call(copy, 1);
        world.answer_all();
        let given = world.visits[other].given.clone().unwrap();
        assert_eq!(given.ended(), Some("provider_ended"));
        assert_eq!(world.watch.ends["provider_ended"], 1);
    }
}

// claim: handler-51
#[test]
fn refusal_without_coordinator_keeps_session() {
    for setup in both_storages(2) {
        let (mut world, alice) = expired(setup);
        world.provider.revoke(0);
        world.fault(REFRESH, Fault::Slow(1, 500));
        let call = world.call(alice, 0);
        world.pass(300);
        world.weather.coordinator_down = true;
        world.answer_all();
        let given = world.visits[call].given.clone().unwrap();
        assert_eq!(given.status, 503, "{}", given.body);
        assert!(given.body.contains("coordinator_unavailable"));
        assert!(world.watch.ends.is_empty());
        world.weather.coordinator_down = false;
        world.pass(10_000);
        let again = world.call(alice, 1);
        world.answer_all();
        assert_eq!(status(&world, again), 401);
        assert_eq!(world.watch.ends["provider_ended"], 1);
    }
}

// claim: handler-51
#[test]
fn refused_request_gets_a_successor_written_meanwhile() {
    let mut world = World::new(Setup {
        isolates: 3,
        ..Setup::default()
    });
    let (alice, copy) = uncommitted(&mut world);
    world.pass(10_000);
    // Isolate 1 knows only the consumed token and sends it. Before isolate 1 receives the rejection, isolate 2 writes
    // the new token to the record.
    world.fault(REFRESH, Fault::Slow(3000, 1));
    let late = world.call(copy, 1);
    world.pass(1000);
    let own = world.call(alice, 2);
    world.answer_all();
    assert!(served(&world, own) && served(&world, late));
    assert!(world.watch.ends.is_empty());
}

#[test]
fn newer_cookie_advances_the_record() {
    let mut world = World::new(Setup {
        isolates: 3,
        ..Setup::default()
    });
    let (alice, copy) = uncommitted(&mut world);
    world.pass(10_000);
    let own = world.call(alice, 1);
    world.answer_all();
    let other = world.call(copy, 2);
    world.answer_all();
    assert!(served(&world, own) && served(&world, other));
    assert_eq!(world.watch.rotations, 1);
}

#[test]
fn holder_without_lease_does_not_resend() {
    let (mut world, alice) = expired(Setup {
        request_timeout: 10,
        refresh_timeout: 10,
        ..Setup::default()
    });
    world.fault(REFRESH, Fault::LostBefore);
    let first = world.call(alice, 0);
    world.pass(1000);
    world.weather.cut_off = Some(0);
    // Isolate 1 waits until the lease of isolate 0 has expired, and then refreshes.
    let second = world.call(alice, 1);
    world.pass(8500);
    world.weather.cut_off = None;
    world.answer_all();
    assert_eq!(world.visits[first].given.as_ref().unwrap().status, 503);
    let next = world.call(alice, 0);
    world.answer_all();
    assert!(served(&world, second) && served(&world, next));
    assert_eq!(world.watch.rotations, 1);
    assert!(world.watch.losses.is_empty());
}

#[test]
fn late_commit_leaves_a_newer_record_alone() {
    let mut world = World::new(Setup {
        request_timeout: 40,
        refresh_timeout: 40,
        ..Setup::default()
    });
    world.provider.lifetime = 20_000;
    world.provider.leeway = 60_000;
    let alice = world.signed_in("alice", 0);
    world.pass(21_000);
    world.story = Some(Vec::new());
    world.fault(REFRESH, Fault::Slow(1, 36_000));
    let slow = world.call(alice, 0);
    world.pass(1000);
    world.weather.cut_off = Some(0);
    world.call(alice, 1);
    world.pass(29_000);
    world.call(alice, 1);
    world.pass(1000);
    world.weather.cut_off = None;
    world.answer_all();
    assert!(served(&world, slow), "{:?}", world.visits[slow].given);
    let story = world.story.take().unwrap();
    let records = story.iter().filter_map(|line| {
        let (_, rest) = line.split_once("coordinator: generation ")?;
        rest.split(' ').next()?.parse::<u64>().ok()
    });
    assert!(records.is_sorted(), "{story:?}");
    let next = world.call(alice, 1);
    world.answer_all();
    assert!(served(&world, next));
    // The token expired twice, so there are two rotations.
    assert_eq!(world.watch.rotations, 2);
    assert!(world.watch.losses.is_empty());
}

#[test]
fn early_refresh_is_not_repeated() {
    for setup in both_storages(2) {
        let mut world = World::new(setup);
        let alice = world.signed_in("alice", 0);
        // After this time the token is valid for five more seconds, so an isolate refreshes it early.
        world.pass(55_000);
        for isolate in [0, 1, 0] {
            let call = world.call(alice, isolate);
            world.answer_all();
            assert!(served(&world, call));
            world.pass(10_000);
        }
        assert_eq!(world.watch.rotations, 1);
    }
}

// claim: handler-52
#[test]
fn valid_token_is_used_during_anothers_refresh() {
    for setup in both_storages(2) {
        let mut world = World::new(setup);
        let alice = world.signed_in("alice", 0);
        world.pass(55_000);
        world.fault(REFRESH, Fault::Slow(1000, 2000));
        world.call(alice, 0);
        world.pass(100);
        for isolate in [0, 1] {
            let other = world.call(alice, isolate);
            world.pass(100);
            assert!(served(&world, other));
            assert!(took(&world, other) < 50);
        }
        world.answer_all();
        assert_eq!(world.watch.rotations, 1);
    }
}

// claim: handler-52
#[test]
fn expired_successor_from_elsewhere_is_refreshed() {
    let mut world = World::new(Setup {
        in_store: true,
        recheck: 3600,
        ..Setup::default()
    });
    let alice = world.signed_in("alice", 0);
    for _ in 0..2 {
        // Isolate 0 knows an expired token and reads a newer one from the record. In the second round, the newer token
        // has expired as well.
        world.call(alice, 0);
        world.answer_all();
        world.pass(61_000);
        let other = world.call(alice, 1);
        world.answer_all();
        assert!(served(&world, other));
    }
    world.pass(61_000);
    let call = world.call(alice, 0);
    world.answer_all();
    assert!(served(&world, call));
    assert!(!world.visits[call].api_failed);
}

#[test]
fn failed_refresh_leaves_no_intent() {
    let faults = [
        (Fault::Wanted, 1),
        (Fault::Busy(1), 1),
        (Fault::Refusal("invalid_client"), 1),
        (Fault::Unexplained, 3),
        (Fault::Gateway, 3),
        (Fault::Status(502), 3),
        (Fault::Refusal("temporarily_unavailable"), 3),
    ];
    for setup in both_storages(2) {
        for (fault, times) in faults {
            let (mut world, alice) = expired(setup.clone());
            for _ in 0..times {
                world.fault(REFRESH, fault);
            }
            let failed = world.call(alice, 0);
            world.answer_all();
            assert!(!served(&world, failed), "{fault:?}");
            let other = world.call(alice, 1);
            world.answer_all();
            assert!(served(&world, other), "{fault:?}");
            assert!(took(&world, other) < 500, "{fault:?}");
        }
    }
}

#[test]
fn intent_is_withdrawn_despite_an_older_read() {
    let (mut world, alice) = expired(Setup {
        in_store: true,
        recheck: 0,
        ..Setup::default()
    });
    world.fault(REFRESH, Fault::Slow(200, 200));
    world.fault(REFRESH, Fault::Wanted);
    // The second request's read is in flight while the first request writes its intent.
    let first = world.call(alice, 0);
    world.fault(Site::Read, Fault::Slow(1, 300));
    world.call(alice, 0);
    world.answer_all();
    assert!(world.visits[first].given.is_some());
    let other = world.call(alice, 1);
    world.answer_all();
    assert!(served(&world, other));
    assert!(took(&world, other) < 500);
}

#[test]
fn commit_outlasts_activity_written_meanwhile() {
    let mut world = World::new(Setup {
        in_store: true,
        ..Setup::default()
    });
    world.provider.lifetime = 100_000;
    let alice = world.signed_in("alice", 0);
    world.pass(95_000);
    world.fault(REFRESH, Fault::Slow(1, 500));
    world.poll(alice, 0);
    world.pass(100);
    // The access token is still valid. Isolate 1 writes her activity to the record while isolate 0 refreshes.
    let other = world.call(alice, 1);
    world.answer_all();
    assert!(served(&world, other));
    world.pass(6000);
    let next = world.call(alice, 0);
    world.answer_all();
    assert!(served(&world, next), "{:?}", world.visits[next].given);
    assert_eq!(world.watch.rotations, 1);
}

#[test]
fn withdrawn_intent_blocks_nobody_despite_clock_ahead() {
    for skew in [0, 30_000] {
        for setup in both_storages(2) {
            let (mut world, alice) = expired(Setup {
                skews: vec![skew, 0],
                ..setup
            });
            for _ in 0..3 {
                world.fault(Site::Provider(Endpoint::Refresh), Fault::Status(500));
            }
            world.call(alice, 0);
            world.answer_all();
            let call = world.call(alice, 1);
            world.answer_all();
            assert!(served(&world, call) && took(&world, call) < 1000, "{skew}");
        }
    }
}
