//! Tests of calls during and after an outage of the provider. A call of the user brings the next attempt forward, so the
//! app works again soon after the outage.

use std::time::Duration;

use kit::world::provider::Refusing;
use kit::world::{Endpoint, Fault, Fetch, PROBE, REFRESH, World};
use vault::PortId;

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The outages of issue reports: a server error, and refused connections.
const OUTAGES: [Fault; 2] = [Fault::Status(502), Fault::Opaque];

/// Creates a page with an expired access token, whose provider is down.
fn down(fault: Fault) -> (World, PortId) {
    let (mut world, page) = World::expired();
    world.provider.outage(Endpoint::Refresh, fault);
    world.provider.outage(Endpoint::Probe, fault);
    (world, page)
}

/// Calls every 200 ms for this many seconds. The user causes the calls, unless `background`.
fn keep_calling(world: &mut World, page: PortId, for_seconds: u64, background: bool) {
    for _ in 0..for_seconds * 5 {
        world.fetch_as(
            page,
            &Fetch {
                background,
                ..Fetch::default()
            },
        );
        world.answer_all();
        world.advance(millis(200));
    }
}

/// Returns the times of the attempts to refresh. The repeat of a refresh without a response begins with a probe.
fn attempts(world: &World) -> Vec<Duration> {
    let mut attempts = world.moments(REFRESH);
    attempts.extend(world.moments(PROBE));
    attempts.sort();
    attempts.dedup();
    attempts
}

/// Returns the times between the attempts to refresh, from the fourth attempt on.
fn later_gaps(world: &World) -> Vec<Duration> {
    let moments = attempts(world);
    moments[3..].windows(2).map(|w| w[1] - w[0]).collect()
}

#[test]
fn calls_end_an_outage_within_five_seconds() {
    for fault in OUTAGES {
        for length in [20, 60, 90] {
            let (mut world, page) = down(fault);
            keep_calling(&mut world, page, length, false);
            world.provider.repair();
            keep_calling(&mut world, page, 5, false);
            let call = world.fetch(page, "/orders");
            world.answer_all();
            assert_eq!(world.status(call), 200, "{fault:?} of {length} s");
        }
    }
}

#[test]
fn calls_cause_an_attempt_every_four_seconds() {
    for fault in OUTAGES {
        let (mut world, page) = down(fault);
        keep_calling(&mut world, page, 100, false);
        let gaps = later_gaps(&world);
        assert!(gaps.len() > 20, "{fault:?} {gaps:?}");
        // The wait before the fifth attempt is that of the usual schedule, which may be shorter.
        for gap in &gaps[1..] {
            assert!(
                *gap >= millis(4000) && *gap <= millis(5000),
                "{fault:?} {gap:?}"
            );
        }
    }
}

#[test]
fn long_outage_slows_calls_down() {
    for fault in OUTAGES {
        let (mut world, page) = down(fault);
        keep_calling(&mut world, page, 130, false);
        let before = attempts(&world).len();
        keep_calling(&mut world, page, 600, false);
        let after = attempts(&world).len() - before;
        assert!((19..=21).contains(&after), "{fault:?} {after}");
    }
}

#[test]
fn background_calls_do_not_shorten_the_wait() {
    for fault in OUTAGES {
        let (mut world, page) = down(fault);
        keep_calling(&mut world, page, 100, true);
        // 0.5, 1, 2, 4, 8, 16 and 32 s lie between eight attempts.
        assert!((8..=9).contains(&attempts(&world).len()), "{fault:?}");
    }
}

#[test]
fn refusal_hidden_by_cors_is_not_repeated_by_calls() {
    let (mut world, page) = World::expired();
    world.provider.refusing = Refusing::Hidden;
    world.provider.revoke_family(0);
    keep_calling(&mut world, page, 100, false);
    assert!((8..=9).contains(&world.count(REFRESH)));
}

#[test]
fn hidden_refusal_is_not_repeated_if_the_probe_is_refused() {
    for probe in [Fault::Status(404), Fault::Busy(429, None), Fault::Html] {
        let (mut world, page) = World::expired();
        world.provider.outage(Endpoint::Refresh, Fault::Opaque);
        world.provider.outage(Endpoint::Probe, probe);
        keep_calling(&mut world, page, 100, false);
        assert!((8..=9).contains(&world.count(REFRESH)), "{probe:?}");
    }
}

#[test]
fn other_failures_are_not_repeated_by_calls() {
    for fault in [Fault::Html, Fault::Status(404)] {
        let (mut world, page) = down(fault);
        keep_calling(&mut world, page, 100, false);
        assert!((8..=9).contains(&attempts(&world).len()), "{fault:?}");
    }
}

#[test]
fn retry_after_counts_in_an_outage() {
    let (mut world, page) = down(Fault::Status(502));
    keep_calling(&mut world, page, 30, false);
    world
        .provider
        .outage(Endpoint::Refresh, Fault::Busy(503, Some(60)));
    keep_calling(&mut world, page, 10, false);
    let before = world.count(REFRESH);
    keep_calling(&mut world, page, 45, false);
    assert_eq!(world.count(REFRESH), before);
    keep_calling(&mut world, page, 10, false);
    assert_eq!(world.count(REFRESH), before + 1);
}
