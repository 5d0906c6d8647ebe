//! Tests of isolates whose clocks differ, jump or do not exist. No time that another machine wrote ends a session or sends
//! a refresh token twice, as far as `docs/edge-operate.md` promises.

use crate::{both_storages, expired, served, took};
use kit_isolates::provider::Endpoint;
use kit_isolates::{Fault, Setup, Site, World};

const REFRESH: Site = Site::Provider(Endpoint::Refresh);

/// Setups of two isolates in which the second clock differs: by up to an hour if the coordinator gives its time, and
/// otherwise by up to five minutes.
fn skewed() -> impl Iterator<Item = Setup> {
    let offsets = [
        (true, 10),
        (true, 180),
        (true, 3600),
        (false, 10),
        (false, 290),
    ];
    let offsets = offsets
        .into_iter()
        .flat_map(|(has_time, seconds)| [(has_time, seconds), (has_time, -seconds)]);
    offsets.map(|(has_time, seconds)| Setup {
        skews: vec![0, seconds * 1000],
        spread: 3_600_000,
        has_time,
        ..Setup::default()
    })
}

// claim: handler-66
#[test]
fn slow_refresh_is_left_to_its_holder() {
    for setup in skewed() {
        for in_store in [false, true] {
            let (mut world, alice) = expired(Setup {
                in_store,
                ..setup.clone()
            });
            world.fault(REFRESH, Fault::Slow(1, 5000));
            let first = world.call(alice, 0);
            world.pass(1000);
            let second = world.call(alice, 1);
            world.answer_all();
            assert!(served(&world, first) && served(&world, second));
            assert!(world.watch.losses.is_empty() && world.watch.ends.is_empty());
            // By a clock that is ahead, the successor may be due for a refresh, too.
            if setup.has_time {
                assert_eq!(world.watch.refreshes_sent, 1, "{setup:?}");
            }
        }
    }
}

// claim: handler-66
#[test]
fn overtaken_request_is_no_theft() {
    for setup in skewed() {
        for is_writer in [false, true] {
            let mut world = World::new(setup.clone());
            let alice = world.signed_in("alice", 0);
            let (writer, reader) = (usize::from(is_writer), usize::from(!is_writer));
            world.pass(56_000);
            let overtaken = world.copy_of(alice);
            // The second call sends the new cookie.
            for _ in 0..2 {
                let call = world.call(alice, writer);
                world.answer_all();
                assert!(served(&world, call));
            }
            world.pass(2000);
            let late = world.call(overtaken, reader);
            world.answer_all();
            assert!(served(&world, late), "{:?}", world.setup);
        }
    }
}

#[test]
fn replayed_cookie_ends_the_session_by_the_coordinators_time() {
    for setup in skewed().filter(|setup| setup.has_time) {
        let mut world = World::new(setup);
        let alice = world.signed_in("alice", 0);
        world.pass(56_000);
        let copy = world.copy_of(alice);
        for _ in 0..2 {
            world.call(alice, 0);
            world.answer_all();
        }
        world.pass(62_000);
        let replay = world.call(copy, 1);
        world.answer_all();
        assert!(!served(&world, replay), "{:?}", world.setup);
        assert_eq!(world.watch.ends["security"], 1);
    }
}

#[test]
fn without_a_time_a_replay_is_certain_after_an_own_observation() {
    for (first_read, is_certain) in [(3000, true), (64_000, false)] {
        let mut world = World::new(Setup {
            skews: vec![0, -290_000],
            spread: 290_000,
            has_time: false,
            ..Setup::default()
        });
        world.provider.lifetime = 300_000;
        let alice = world.signed_in("alice", 0);
        let copy = world.copy_of(alice);
        world.pass(296_000);
        for _ in 0..2 {
            world.call(alice, 0);
            world.answer_all();
        }
        world.pass(first_read);
        let other = world.copy_of(alice);
        world.call(other, 1);
        world.answer_all();
        world.pass(66_000 - first_read);
        let replay = world.call(copy, 1);
        world.answer_all();
        assert_eq!(served(&world, replay), !is_certain);
    }
}

#[test]
fn without_a_time_a_replay_is_certain_after_an_hour() {
    for (minutes, is_certain) in [(50, false), (70, true)] {
        let mut world = World::new(Setup {
            has_time: false,
            idle: 43_200,
            ..Setup::default()
        });
        let alice = world.signed_in("alice", 0);
        let copy = world.copy_of(alice);
        world.pass(61_000);
        for _ in 0..2 {
            world.call(alice, 0);
            world.answer_all();
        }
        world.pass(minutes * 60_000);
        world.kill(1);
        let replay = world.call(copy, 1);
        world.answer_all();
        assert_eq!(served(&world, replay), !is_certain);
    }
}

/// The record of a session that is refreshed each minute keeps the times of an hour.
#[test]
fn without_a_time_a_replay_ends_an_active_session_too() {
    for (minutes, is_certain) in [(55, false), (75, true)] {
        let mut world = World::new(Setup {
            has_time: false,
            idle: 43_200,
            ..Setup::default()
        });
        let alice = world.signed_in("alice", 0);
        let copy = world.copy_of(alice);
        for _ in 0..minutes {
            world.pass(61_000);
            world.call(alice, 0);
            world.answer_all();
        }
        world.kill(1);
        let replay = world.call(copy, 1);
        world.answer_all();
        assert_eq!(served(&world, replay), !is_certain);
    }
}

// claim: handler-66
#[test]
fn clock_that_jumps_during_a_refresh_sends_no_second_token() {
    for is_steady in [true, false] {
        for jump in [20_000, -20_000, 3_600_000, -3_600_000] {
            let (mut world, alice) = expired(Setup {
                isolates: 1,
                spread: 3_600_000,
                is_steady,
                ..Setup::default()
            });
            world.fault(REFRESH, Fault::Slow(1, 5000));
            let first = world.call(alice, 0);
            world.pass(1000);
            world.set_clock(0, jump);
            let second = world.call(alice, 0);
            world.answer_all();
            assert!(served(&world, first), "{jump} {is_steady}");
            assert!(served(&world, second), "{jump} {is_steady}");
            assert_eq!(world.watch.refreshes_sent, 1);
        }
    }
}

// claim: handler-66
#[test]
fn wrong_clock_reaches_no_limit() {
    for (idle, absolute) in [(1800, 43_200), (43_200, 43_200)] {
        for skew in [3_600_000, 43_000_000] {
            let mut world = World::new(Setup {
                skews: vec![0, skew],
                spread: 43_000_000,
                idle,
                absolute,
                ..Setup::default()
            });
            let alice = world.signed_in("alice", 0);
            world.pass(500_000);
            let call = world.call(alice, 1);
            world.answer_all();
            assert!(served(&world, call), "{idle} {skew}");
        }
    }
}

#[test]
fn slow_clock_extends_no_limit() {
    for (idle, absolute, reason) in [(1800, 43_200, "idle"), (1800, 1800, "absolute")] {
        for in_store in [false, true] {
            let mut world = World::new(Setup {
                skews: vec![0, -3_600_000],
                spread: 3_600_000,
                in_store,
                idle,
                absolute,
                ..Setup::default()
            });
            let alice = world.signed_in("alice", 0);
            world.pass(1_801_000);
            let call = world.call(alice, 1);
            world.answer_all();
            let given = world.visits[call].given.as_ref().unwrap();
            assert_eq!(given.ended(), Some(reason));
        }
    }
}

#[test]
fn login_at_a_wrong_clock_begins_by_the_coordinators() {
    for skew in [3_600_000, -3_600_000] {
        let mut world = World::new(Setup {
            skews: vec![skew, 0],
            spread: 3_600_000,
            absolute: 1800,
            ..Setup::default()
        });
        let alice = world.signed_in("alice", 0);
        for (pause, is_valid) in [(1_700_000, true), (110_000, false)] {
            world.pass(pause);
            let call = world.call(alice, 1);
            world.answer_all();
            assert_eq!(served(&world, call), is_valid, "{skew} {pause}");
        }
    }
}

#[test]
fn limits_have_a_tolerance_of_five_minutes_without_a_time() {
    for (pause, is_valid) in [(1_790_000, true), (2_090_000, true), (2_110_000, false)] {
        let mut world = World::new(Setup {
            has_time: false,
            ..Setup::default()
        });
        let alice = world.signed_in("alice", 0);
        world.pass(pause);
        let call = world.call(alice, 0);
        world.answer_all();
        assert_eq!(served(&world, call), is_valid, "{pause}");
    }
}

#[test]
fn isolate_that_cannot_learn_the_time_ends_no_session() {
    let mut world = World::new(Setup {
        skews: vec![0, 3_600_000],
        spread: 3_600_000,
        ..Setup::default()
    });
    let alice = world.signed_in("alice", 0);
    world.pass(61_000);
    world.weather.cut_off = Some(1);
    let call = world.call(alice, 1);
    world.answer_all();
    let given = world.visits[call].given.as_ref().unwrap();
    assert_eq!(given.status, 503, "{}", given.body);
    world.weather.cut_off = None;
    world.pass(2000);
    let call = world.call(alice, 1);
    world.answer_all();
    assert!(served(&world, call));
}

#[test]
fn clock_that_was_set_is_compared_at_the_next_request() {
    let mut world = World::new(Setup {
        isolates: 1,
        spread: 3_600_000,
        recheck: 30,
        ..Setup::default()
    });
    world.provider.lifetime = 300_000;
    let alice = world.signed_in("alice", 0);
    world.set_clock(0, 3_600_000);
    world.story = Some(Vec::new());
    // The isolate has read the session's record a moment ago, and the access token is valid.
    let call = world.call(alice, 0);
    world.answer_all();
    assert!(served(&world, call));
    let story = world.story.take().unwrap();
    assert!(
        story.iter().any(|step| step.contains(": Read (")),
        "{story:?}"
    );
}

#[test]
fn lease_of_a_dead_isolate_is_taken_over_without_a_steady_clock() {
    for setup in both_storages(2) {
        for request_timeout in [2, 10] {
            let (mut world, alice) = expired(Setup {
                is_steady: false,
                request_timeout,
                ..setup.clone()
            });
            world.fault(REFRESH, Fault::LostBefore);
            world.call(alice, 0);
            world.pass(1000);
            world.kill(0);
            // The request waits the lease out, whatever its time limit is.
            let next = world.call(alice, 1);
            world.answer_all();
            assert!(served(&world, next), "{:?}", world.visits[next].given);
            assert!((8000..9500).contains(&took(&world, next)));
        }
    }
}

#[test]
fn clock_set_while_waiting_shortens_no_lease() {
    for is_steady in [true, false] {
        let (mut world, alice) = expired(Setup {
            spread: 20_000,
            is_steady,
            ..Setup::default()
        });
        world.fault(REFRESH, Fault::LostBefore);
        world.call(alice, 0);
        world.pass(1000);
        world.kill(0);
        let next = world.call(alice, 1);
        world.pass(2000);
        world.set_clock(1, 20_000);
        // The coordinator ends the wait early.
        let same = world.coordinator.clone();
        world.fail_over(&same);
        world.answer_all();
        assert!(took(&world, next) >= 8000, "{}", took(&world, next));
    }
}

#[test]
fn observation_of_an_intent_is_kept_between_requests() {
    let (mut world, alice) = expired(Setup {
        request_timeout: 10,
        ..Setup::default()
    });
    world.fault(REFRESH, Fault::LostBefore);
    world.call(alice, 0);
    world.pass(1000);
    world.kill(0);
    let left = world.call(alice, 1);
    world.pass(500);
    world.drop_request(left);
    world.pass(9000);
    let next = world.call(alice, 1);
    world.answer_all();
    assert!(served(&world, next));
    assert!(took(&world, next) < 1000, "{}", took(&world, next));
}

#[test]
fn intent_of_hours_ago_is_taken_over_at_once() {
    for (minutes, is_abandoned) in [(110, false), (130, true)] {
        let (mut world, alice) = expired(Setup {
            idle: 43_200,
            ..Setup::default()
        });
        world.fault(REFRESH, Fault::LostBefore);
        world.call(alice, 0);
        world.pass(1000);
        world.kill(0);
        world.pass(minutes * 60_000);
        let next = world.call(alice, 1);
        world.answer_all();
        assert!(served(&world, next));
        assert_eq!(took(&world, next) < 1000, is_abandoned);
    }
}

#[test]
fn difference_of_clocks_is_logged_once_an_hour() {
    let mut world = World::new(Setup {
        isolates: 1,
        skews: vec![180_000],
        spread: 180_000,
        idle: 43_200,
        recheck: 0,
        ..Setup::default()
    });
    world.story = Some(Vec::new());
    let alice = world.signed_in("alice", 0);
    for hours in 1..=2 {
        for _ in 0..30 {
            world.pass(119_000);
            world.call(alice, 0);
            world.answer_all();
        }
        let story = world.story.as_ref().unwrap();
        let line = "this machine's clock is 180 s ahead of the coordinator's";
        let lines = story.iter().filter(|step| step.contains(line)).count();
        assert_eq!(lines, hours);
        world.pass(100_000);
    }
}
