//! Parallel requests of a session share one read of its record.

use crate::{both_storages, served, took};
use kit_isolates::{BOUND, Fault, Setup, Site, VisitId, World};

/// Returns the number of reads that the coordinator got since the story began.
fn reads(world: &mut World) -> usize {
    let story = world.story.replace(Vec::new()).unwrap();
    story.iter().filter(|line| line.contains(": Read ")).count()
}

/// Creates a world with a signed-in user whose access token stays valid.
fn world(setup: Setup) -> (World, usize) {
    let mut world = World::new(setup);
    world.provider.lifetime = 300_000;
    let alice = world.signed_in("alice", 0);
    world.story = Some(Vec::new());
    (world, alice)
}

fn calls(world: &mut World, browser: usize, isolate: usize) -> Vec<VisitId> {
    (0..20).map(|_| world.call(browser, isolate)).collect()
}

#[test]
fn parallel_requests_share_one_read() {
    for setup in both_storages(3) {
        let (mut world, alice) = world(setup);
        world.call(alice, 1);
        world.answer_all();
        let once = reads(&mut world);
        world.pass(10_001);
        for isolate in [1, 2] {
            let calls = calls(&mut world, alice, isolate);
            world.answer_all();
            assert!(calls.into_iter().all(|call| served(&world, call)));
            assert_eq!(reads(&mut world), once);
        }
    }
}

#[test]
fn each_request_reads_if_recheck_is_zero() {
    for setup in both_storages(2) {
        let (mut world, alice) = world(Setup {
            recheck: 0,
            ..setup
        });
        let calls = calls(&mut world, alice, 0);
        world.answer_all();
        assert!(calls.into_iter().all(|call| served(&world, call)));
        assert!(reads(&mut world) >= 20);
    }
}

#[test]
fn requests_that_share_a_read_see_the_end() {
    for setup in both_storages(2) {
        let (mut world, alice) = world(setup);
        let copy = world.copy_of(alice);
        world.call(copy, 1);
        world.answer_all();
        world.log_out(alice, 0);
        world.answer_all();
        world.pass(10_001);
        let calls = calls(&mut world, copy, 1);
        world.answer_all();
        for call in calls {
            let given = world.visits[call].given.as_ref().unwrap();
            assert_eq!(given.ended(), Some("logged_out"));
        }
    }
}

#[test]
fn lost_read_delays_others_for_a_limited_time() {
    for setup in both_storages(2) {
        let limit = if setup.in_store { 3000 } else { 300 };
        let (mut world, alice) = world(setup);
        world.coordinator_timeout = 20_000;
        world.fault(Site::Read, Fault::LostBefore);
        world.pass(11_000);
        let lost = world.call(alice, 1);
        world.pass(100);
        world.drop_request(lost);
        let calls = calls(&mut world, alice, 1);
        world.answer_all();
        for call in calls {
            assert!(served(&world, call));
            assert!((limit - 100..limit + 200).contains(&took(&world, call)));
        }
        let next = world.call(alice, 1);
        world.answer_all();
        assert!(took(&world, next) < 100);
    }
}

#[test]
fn failed_read_is_not_repeated_by_each_request() {
    for setup in both_storages(2) {
        let (mut world, alice) = world(setup);
        world.weather.coordinator_down = true;
        world.pass(11_000);
        let calls = calls(&mut world, alice, 1);
        world.answer_all();
        for call in calls {
            assert!(took(&world, call) < 1500);
        }
        assert_eq!(reads(&mut world), 1);
    }
}

/// Creates a world whose coordinator answers reads after `delay` milliseconds, with a call that is due to read.
fn world_with_slow_read(delay: u64, setup: Setup) -> (World, usize) {
    let (mut world, alice) = world(setup);
    world.coordinator_timeout = 20_000;
    world.pass(11_000);
    world.fault(Site::Read, Fault::Slow(delay, 0));
    (world, alice)
}

fn in_cookie() -> Setup {
    Setup {
        isolates: 2,
        ..Setup::default()
    }
}

// claim: handler-21
#[test]
fn hanging_read_delays_a_valid_token_once() {
    let (mut world, alice) = world_with_slow_read(2500, in_cookie());
    let first = world.call(alice, 0);
    world.pass(1000);
    assert!(served(&world, first));
    assert!((300..400).contains(&took(&world, first)));
    let second = world.call(alice, 0);
    world.pass(100);
    assert!(served(&world, second));
    assert!(took(&world, second) < 50);
}

#[test]
fn requests_wait_again_after_the_coordinator_has_responded() {
    let (mut world, alice) = world_with_slow_read(2500, in_cookie());
    world.call(alice, 0);
    world.pass(14_000);
    world.fault(Site::Read, Fault::Slow(200, 0));
    let next = world.call(alice, 0);
    world.answer_all();
    assert!((200..300).contains(&took(&world, next)));
}

// claim: handler-21
#[test]
fn answer_after_the_request_ends_the_session() {
    let (mut world, alice) = world(in_cookie());
    world.coordinator_timeout = 20_000;
    let copy = world.copy_of(alice);
    world.log_out(alice, 1);
    world.pass(11_000);
    world.fault(Site::Read, Fault::Slow(2500, 0));
    let early = world.call(copy, 0);
    world.pass(400);
    assert!(served(&world, early), "the read is still running");
    world.pass(3000);
    let late = world.call(copy, 0);
    world.answer_all();
    let given = world.visits[late].given.as_ref().unwrap();
    assert_eq!(given.ended(), Some("logged_out"));
}

#[test]
fn unbound_cookie_waits_for_the_record_if_the_session_may_be_bound() {
    let mut world = World::new(Setup {
        binds: true,
        isolates: 3,
        ..Setup::default()
    });
    world.provider.lifetime = 3_600_000;
    let alice = world.signed_in("alice", 0);
    let copy = world.copy_of(alice);
    world.browsers[copy].jar.remove(BOUND);
    world.browsers[copy].device = None;
    world.pass(60_000);
    assert_eq!(world.watch.registrations, 1);
    assert_refused_without_proof(&mut world, copy);
}

/// Calls with a copy of the session's cookie at two isolates, one after the other. The store needs longer than a request with
/// a valid token usually waits.
fn assert_refused_without_proof(world: &mut World, copy: usize) {
    for isolate in [1, 2] {
        // The first read only brings the time.
        for _ in 0..2 {
            world.fault(Site::Read, Fault::Slow(400, 0));
        }
        let call = world.call(copy, isolate);
        world.answer_all();
        let given = world.visits[call].given.as_ref().unwrap();
        assert!(given.lacks_proof(), "{isolate}: {given:?}");
    }
}

// claim: handler-64
#[test]
fn copy_from_before_a_binding_in_minute_59_is_refused() {
    let mut world = World::new(Setup {
        binds: true,
        isolates: 3,
        idle: 7200,
        ..Setup::default()
    });
    world.provider.lifetime = 7_200_000;
    let alice = world.open_browser("alice");
    let device = world.browsers[alice].device.take();
    world.log_in(alice, 0);
    world.answer_all();
    world.pass(3_500_000);
    let copy = world.copy_of(alice);
    // One process knows the session, and the other one is cold.
    world.call(copy, 1);
    world.pass(40_000);
    world.browsers[alice].device = device;
    world.ask_session(alice, 0);
    world.pass(15_000);
    assert_eq!(world.watch.registrations, 1);
    assert_refused_without_proof(&mut world, copy);
}

#[test]
fn unbound_cookie_waits_no_longer_after_the_time_for_a_registration() {
    let mut world = World::new(Setup {
        binds: true,
        idle: 7200,
        ..in_cookie()
    });
    world.provider.lifetime = 7_200_000;
    let alice = world.open_browser("alice");
    world.browsers[alice].device = None;
    world.log_in(alice, 0);
    world.answer_all();
    world.pass(3_730_000);
    world.fault(Site::Read, None);
    for (delay, waits) in [(400, true), (2500, false)] {
        world.fault(Site::Read, Fault::Slow(delay, 0));
        let call = world.call(alice, 1);
        world.answer_all();
        assert!(served(&world, call));
        assert_eq!(took(&world, call) >= 400, waits, "{delay}");
        world.pass(11_000);
    }
}

// claim: handler-21
#[test]
fn expired_tokens_and_stored_sessions_wait_for_the_coordinator() {
    for (in_store, age) in [(true, 11_000), (false, 301_000)] {
        let setup = Setup {
            in_store,
            ..in_cookie()
        };
        let (mut world, alice) = world(setup);
        world.coordinator_timeout = 20_000;
        world.pass(age);
        world.fault(Site::Read, Fault::Slow(2500, 0));
        let call = world.call(alice, 0);
        world.answer_all();
        assert!(served(&world, call));
        assert!(took(&world, call) >= 2500);
    }
}
