//! Tests of an isolate whose process stands still, or is too busy to read requests. A request that waited for it shows an
//! old cookie although nobody has copied it.

use crate::{served, took};
use edge::Event;
use kit_isolates::{BOUND, COOKIE, Fault, Setup, Site, VisitId, World};

/// Sends a request of Alice to isolate 1, which stands still, and replaces her cookie through isolate 0 ten seconds later.
/// Returns the request when isolate 1 has answered, if it goes on after `still` milliseconds.
fn waited(setup: Setup, still: u64) -> (World, usize, VisitId) {
    let mut world = World::new(setup);
    let alice = world.signed_in("alice", 0);
    world.call(alice, 1);
    world.pass(58_000);
    world.stop(1, still);
    world.pass(100);
    let waiting = world.call(alice, 1);
    world.pass(5000);
    // The second call sends the new cookie, which starts the grace period of the old one.
    for _ in 0..2 {
        world.call(alice, 0);
        world.pass(2500);
    }
    world.pass(still);
    world.answer_all();
    (world, alice, waiting)
}

/// Returns true if a request was put off.
fn was_put_off(world: &World, visit: VisitId) -> bool {
    let given = world.visits[visit].given.as_ref().unwrap();
    given.status == 503 && given.header("retry-after").is_some()
}

// claim: handler-23
#[test]
fn request_that_waited_for_the_process_is_served() {
    for still in [60_000, 77_000, 290_000] {
        let (mut world, alice, waiting) = waited(Setup::default(), still);
        assert!(served(&world, waiting), "{still}");
        let call = world.call(alice, 0);
        world.answer_all();
        assert!(served(&world, call), "{still}");
        assert!(world.watch.ends.is_empty());
    }
}

// claim: handler-23
#[test]
fn request_that_waited_for_more_than_five_minutes_is_refused_and_its_session_lives() {
    for still in [400_000, 1_000_000] {
        let (mut world, alice, waiting) = waited(Setup::default(), still);
        assert!(was_put_off(&world, waiting), "{still}");
        let call = world.call(alice, 0);
        world.answer_all();
        assert!(served(&world, call), "{still}");
        assert!(world.watch.ends.is_empty());
    }
}

// claim: handler-23
#[test]
fn copy_that_is_sent_after_the_lateness_ends_the_session() {
    for (pause, is_copy) in [(9000, false), (11_000, true)] {
        let mut world = World::new(Setup::default());
        world.provider.lifetime = 300_000;
        let alice = world.signed_in("alice", 0);
        let copy = world.copy_of(alice);
        world.pass(301_000);
        for _ in 0..2 {
            world.call(alice, 0);
            world.answer_all();
        }
        world.pass(50_000);
        world.stop(1, 30_000);
        world.pass(30_000 + pause);
        let replay = world.call(copy, 1);
        world.answer_all();
        assert_eq!(served(&world, replay), !is_copy);
        assert_eq!(world.watch.ends.is_empty(), !is_copy);
    }
}

/// The user has been active all the time, and the record no longer has the time at which the old cookie was replaced.
// claim: handler-23
#[test]
fn old_copy_ends_the_session_however_late_the_process_is() {
    for (stops, still) in [(1, 190_000), (1, 280_000), (20, 1100), (80, 1100)] {
        let mut world = World::new(Setup {
            absolute: 43_200,
            ..Setup::default()
        });
        let alice = world.signed_in("alice", 0);
        let copy = world.copy_of(alice);
        let be_active = |world: &mut World| {
            world.pass(9000);
            world.call(alice, 0);
            world.answer_all();
        };
        for _ in 0..120 {
            be_active(&mut world);
        }
        for _ in 0..stops {
            world.stop(1, still);
            for _ in 0..(still / 9000).max(1) {
                be_active(&mut world);
            }
        }
        world.pass(9000);
        let replay = world.call(copy, 1);
        world.answer_all();
        assert!(!served(&world, replay), "{stops} stops for {still} ms");
        assert_eq!(world.watch.ends.len(), 1, "{stops} stops for {still} ms");
    }
}

/// A host without a timer does not notice that it stood still.
// claim: handler-23
#[test]
fn request_of_a_client_that_has_left_ends_no_session() {
    for has_left in [false, true] {
        let mut world = World::new(Setup {
            is_steady: false,
            ..Setup::default()
        });
        let alice = world.signed_in("alice", 0);
        let copy = world.copy_of(alice);
        world.pass(61_000);
        for _ in 0..2 {
            world.call(alice, 0);
            world.answer_all();
        }
        world.pass(65_000);
        world.stop(1, 1000);
        let replay = world.call(copy, 1);
        if has_left {
            world.abandon(replay);
        }
        world.answer_all();
        assert_eq!(world.watch.ends.is_empty(), has_left);
        let call = world.call(alice, 0);
        world.answer_all();
        assert_eq!(served(&world, call), has_left);
    }
}

#[test]
fn user_who_came_before_the_idle_limit_is_not_idle() {
    for in_store in [false, true] {
        let mut world = World::new(Setup {
            idle: 400,
            in_store,
            ..Setup::default()
        });
        let alice = world.signed_in("alice", 0);
        world.pass(390_000);
        world.stop(1, 60_000);
        let call = world.call(alice, 1);
        world.answer_all();
        assert!(served(&world, call), "{in_store}");
        assert!(world.browsers[alice].jar.contains_key(COOKIE));
    }
}

/// The process stands still while it waits for the coordinator, so it has read the request before.
#[test]
fn user_is_not_idle_who_comes_before_a_request_stands_still() {
    for in_store in [false, true] {
        for (idle, absolute, came, reason) in [
            (400, 3600, 390_000, None),
            (400, 3600, 401_000, Some("idle")),
            (400, 400, 390_000, Some("absolute")),
        ] {
            let mut world = World::new(Setup {
                idle,
                absolute,
                in_store,
                ..Setup::default()
            });
            world.provider.lifetime = 1_000_000;
            let alice = world.signed_in("alice", 0);
            world.pass(came);
            world.fault(Site::Read, Fault::Slow(1, 1));
            let call = world.call(alice, 1);
            world.stop(1, 60_000);
            world.answer_all();
            let given = world.visits[call].given.as_ref().unwrap();
            assert_eq!(given.ended(), reason, "{in_store}");
            assert_eq!(given.is_served(), reason.is_none(), "{in_store}");
        }
    }
}

/// A login offers the binding, and the browser sends a request before it has bound the session.
// claim: handler-63
#[test]
fn request_from_before_the_binding_is_served_however_late_it_is_read() {
    for (still, pause, is_late) in [(0, 0, true), (15_000, 0, true), (15_000, 26_000, false)] {
        let mut world = World::new(Setup {
            binds: true,
            ..Setup::default()
        });
        world.provider.lifetime = 300_000;
        let alice = world.open_browser("alice");
        world.log_in(alice, 0);
        while !world.browsers[alice].jar.contains_key(COOKIE) {
            world.pass(1);
        }
        let copy = world.copy_of(alice);
        if still > 0 {
            world.stop(1, still);
        }
        // A copy that is sent after the late period is refused.
        world.pass(pause);
        let browser = if is_late { alice } else { copy };
        let call = world.call(browser, 1);
        world.answer_all();
        assert!(world.browsers[alice].jar.contains_key(BOUND));
        assert_eq!(served(&world, call), is_late, "{still} {pause}");
    }
}

// claim: handler-63
#[test]
fn bound_cookie_does_not_expire_while_its_request_waits() {
    for (still, pause, is_valid) in [
        (0, 0, true),
        (90_000, 0, true),
        (0, 90_000, false),
        (90_000, 101_000, false),
    ] {
        let mut world = World::new(Setup {
            binds: true,
            ..Setup::default()
        });
        world.provider.lifetime = 3_600_000;
        let alice = world.signed_in("alice", 0);
        world.call(alice, 1);
        world.pass(595_000);
        let copy = world.copy_of(alice);
        if still > 0 {
            world.stop(1, still);
        }
        world.pass(pause);
        let call = world.call(copy, 1);
        world.answer_all();
        assert_eq!(served(&world, call), is_valid, "{still} {pause}");
    }
}

#[test]
fn late_process_does_not_report_the_coordinator() {
    for is_late in [false, true] {
        let mut world = World::new(Setup::default());
        let alice = world.signed_in("alice", 0);
        world.pass(61_000);
        // The response arrives in time, and the host's timer fires first when the process goes on.
        world.fault(Site::Read, Fault::LostAfter);
        let call = world.call(alice, 1);
        if is_late {
            world.stop(1, 20_000);
        }
        world.answer_all();
        assert!(world.visits[call].given.is_some());
        let told = world.events.iter().any(|event| {
            let text = format!("{event:?}");
            text.contains("OutageBegan")
        });
        assert_eq!(told, !is_late);
    }
}

/// A processor without enough time makes the process late again and again.
#[test]
fn late_process_notices_an_outage_of_the_coordinator() {
    let mut world = World::new(Setup::default());
    let alice = world.signed_in("alice", 0);
    world.pass(61_000);
    world.weather.coordinator_down = true;
    world.coordinator_timeout = 3000;
    for longest in [13_000, 3000, 3000] {
        let call = world.call(alice, 0);
        while world.visits[call].given.is_none() {
            world.pass(1000);
            world.stop(0, 150);
            world.pass(500);
        }
        assert!(took(&world, call) <= longest, "{}", took(&world, call));
        world.pass(1200);
    }
    let has_begun = |event: &Event| format!("{event:?}").contains("OutageBegan");
    assert!(world.events.iter().any(has_begun));
}
