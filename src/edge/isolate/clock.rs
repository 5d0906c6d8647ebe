//! The clock that the isolates of a deployment share: the coordinator's.
//!
//! Records, cookies and sessions contain times that one machine writes and another one reads, and the clocks of machines
//! differ. So an isolate measures how far its own clock is from the coordinator's at each read, and writes and compares
//! times by the coordinator's clock. Some coordinators have no clock. Then the isolate's own clock must do, and every
//! verdict about a session has a [`TOLERANCE`].

use core::cell::Cell;

use crate::isolate::hourly::Hourly;
use rules::base::clock::{Instant, Millis, UnixMillis};

/// The difference of two clocks that harms no session if the coordinator has no clock.
const TOLERANCE: Millis = Millis::from_secs(300);

/// The largest difference between the monotonic clock and the wall clock since the last read. If it is larger, somebody
/// has set the wall clock, or the machine was asleep.
const STEP: u64 = 2000;

/// Hosts do not wait longer for a read: see `COORDINATOR_TIME` in `store/coordinator.rs`.
const LONGEST_READ: Millis = Millis::from_secs(4);

/// Without a monotonic clock, the coordinator's time is certain for this long after a read.
const CERTAIN: Millis = Millis::from_secs(60);

/// The monotonic clock and the wall clock are the same clock if they differ by at most this many milliseconds.
const SAME: u64 = 1000;

/// A difference of this size is reported to the operator.
const NOTABLE: u64 = 5000;

/// The knowledge of an isolate about the coordinator's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Source {
    /// The isolate has not read from the coordinator.
    #[default]
    Unknown,
    /// The coordinator gives no time.
    Own,
    /// The coordinator's clock showed `time` when this isolate's clocks showed `at`.
    Coordinator { time: UnixMillis, at: Instant },
}

/// The clocks of an isolate, and the shared clock as this isolate knows it.
#[derive(Default)]
pub(crate) struct Clocks {
    /// The latest value of the monotonic clock.
    latest: Cell<Millis>,
    /// The time that was added to the monotonic clock, because it went back.
    added: Cell<Millis>,
    /// True if the host has a monotonic clock. Some platforms, such as Cloudflare Workers, give the wall clock for it.
    is_steady: Cell<bool>,
    source: Cell<Source>,
    /// True if somebody has set this machine's clock since the last read, or if the machine was asleep.
    is_doubtful: Cell<bool>,
    reports: Hourly,
    /// The provider's clock in milliseconds minus this machine's at an instant, by the last response of the token endpoint.
    provider: Cell<Option<(i64, Instant)>>,
}

impl Clocks {
    /// Takes the time that the host passes with each call. Returns it with a monotonic clock that never goes back.
    pub(crate) fn read(&self, host: Instant) -> Instant {
        self.is_steady
            .set(host.monotonic.0.abs_diff(host.wall) > SAME);
        let mut monotonic = host.monotonic + self.added.get();
        let back = self.latest.get().saturating_sub(monotonic);
        self.added.set(self.added.get() + back);
        monotonic = monotonic + back;
        self.latest.set(monotonic);
        let now = Instant { monotonic, ..host };
        self.check(&now);
        now
    }

    /// Returns a time that has certainly passed between two instants of this isolate: zero if no clock is steady.
    pub(crate) fn certain(&self, since: &Instant, now: &Instant) -> Millis {
        match self.is_steady.get() {
            true => now.monotonic.saturating_sub(since.monotonic),
            false => Millis::ZERO,
        }
    }

    /// Takes the coordinator's time from a read that was sent at `asked`, and whose response arrived at `now`.
    pub(crate) fn learn(&self, time: Option<UnixMillis>, asked: Instant, now: Instant) {
        let took = now.monotonic.saturating_sub(asked.monotonic);
        // No read takes that long, so this clock was set in the meantime.
        if took > LONGEST_READ {
            return self.is_doubtful.set(true);
        }
        self.is_doubtful.set(false);
        self.source.set(match time {
            None => Source::Own,
            // The coordinator read its clock at some time in between.
            Some(time) => Source::Coordinator {
                time: time.saturating_add(took.0 / 2),
                at: now,
            },
        });
    }

    /// Compares the monotonic clock with the wall clock. If one of them was set or stood still, the coordinator's time is
    /// doubtful until the next read. Without a monotonic clock, nobody notices a clock that was set forward, so the time is
    /// doubtful some time after each read.
    fn check(&self, now: &Instant) {
        if let Source::Coordinator { at, .. } = self.source.get() {
            let is_old = !self.is_steady.get() && at.elapsed(now) > CERTAIN;
            if was_set(&at, now) || is_old {
                self.is_doubtful.set(true);
            }
        }
    }

    /// Takes the provider's time from a response to a request that was sent at `asked`. A response that was read long after
    /// it was sent tells another time.
    pub(crate) fn learn_provider(&self, time: UnixMillis, asked: &Instant, own: &Instant) {
        if asked.elapsed(own) <= LONGEST_READ {
            let offset = time.cast_signed() - own.wall.cast_signed();
            self.provider.set(Some((offset, *own)));
        }
    }

    /// Returns the provider's clock in milliseconds minus the shared one: zero if it is unknown, or if somebody has set this
    /// machine's clock since.
    pub(crate) fn provider_offset(&self, own: &Instant) -> i64 {
        let known = self.provider.get().filter(|(_, at)| !was_set(at, own));
        let shared = self.instant(*own).wall.cast_signed();
        known.map_or(0, |(offset, _)| own.wall.cast_signed() + offset - shared)
    }

    /// Returns this instant with the shared wall clock in place of the machine's.
    pub(crate) fn instant(&self, own: Instant) -> Instant {
        // control: times_are_the_coordinators
        let Source::Coordinator { time, at } = self.source.get() else {
            return own;
        };
        let wall = match own.monotonic >= at.monotonic {
            true => time.saturating_add(own.monotonic.0 - at.monotonic.0),
            false => time.saturating_sub(at.monotonic.0 - own.monotonic.0),
        };
        Instant { wall, ..own }
    }

    /// Returns true if a read of the coordinator may tell the time.
    pub(crate) fn is_unknown(&self) -> bool {
        self.source.get() == Source::Unknown || self.is_doubtful.get()
    }

    /// Returns true if this isolate knows the coordinator's time.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.source.get(), Source::Coordinator { .. }) && !self.is_doubtful.get()
    }

    /// Returns the difference of clocks that must not harm a session.
    pub(crate) fn tolerance(&self) -> Millis {
        match self.is_shared() {
            true => Millis::ZERO,
            // control: clocks_have_a_tolerance
            false => TOLERANCE,
        }
    }

    /// Compares this machine's clock with another server's, which showed `time` at this instant. Returns the difference in
    /// seconds, and true if this machine is ahead, if the operator should know. That is at most once an hour.
    pub(crate) fn difference(&self, time: UnixMillis, own: &Instant) -> Option<(u64, bool)> {
        let difference = own.wall.abs_diff(time);
        if difference < NOTABLE || !self.reports.may_report(own) {
            return None;
        }
        Some((difference / 1000, own.wall > time))
    }
}

/// Returns true if one of the two clocks was set or stood still between these instants.
fn was_set(at: &Instant, now: &Instant) -> bool {
    let monotonic = now.monotonic.0.wrapping_sub(at.monotonic.0);
    let wall = now.wall.wrapping_sub(at.wall);
    monotonic.wrapping_sub(wall).cast_signed().unsigned_abs() > STEP
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(monotonic_s: u64, wall_s: u64) -> Instant {
        Instant {
            monotonic: Millis::from_secs(monotonic_s),
            wall: wall_s * 1000,
        }
    }

    #[test]
    fn provider_offset_is_known_until_the_clock_is_set() {
        let clocks = Clocks::default();
        clocks.learn_provider(9_300_000, &at(1, 9000), &at(9, 9008));
        assert_eq!(clocks.provider_offset(&at(9, 9008)), 0, "a slow response");
        clocks.learn_provider(9_300_000, &at(8, 9007), &at(9, 9008));
        assert_eq!(clocks.provider_offset(&at(60, 9059)), 292_000);
        assert_eq!(
            clocks.provider_offset(&at(60, 9351)),
            0,
            "the clock was set"
        );
    }

    #[test]
    fn clock_that_goes_back_stands_still_once() {
        let clocks = Clocks::default();
        assert_eq!(clocks.read(at(9000, 9000)), at(9000, 9000));
        assert_eq!(clocks.read(at(5400, 5400)), at(9000, 5400));
        assert_eq!(clocks.read(at(5401, 5401)), at(9001, 5401));
        assert_eq!(clocks.read(at(9000, 9000)), at(12_600, 9000));
    }

    #[test]
    fn wall_clock_alone_proves_no_time() {
        let clocks = Clocks::default();
        let (start, end) = (clocks.read(at(9000, 9000)), clocks.read(at(9020, 9020)));
        assert_eq!(clocks.certain(&start, &end), Millis::ZERO);
        let (start, end) = (clocks.read(at(10, 9000)), clocks.read(at(30, 9000)));
        assert_eq!(clocks.certain(&start, &end), Millis::from_secs(20));
    }

    /// Returns a clock that learned at the first instant that the coordinator's clock shows 5000 s.
    fn learned() -> Clocks {
        let clock = Clocks::default();
        clock.read(at(10, 9000));
        clock.learn(Some(5_000_000), at(10, 9000), at(10, 9000));
        clock
    }

    #[test]
    fn time_goes_on_by_the_monotonic_clock() {
        let clock = learned();
        assert_eq!(clock.instant(at(13, 12_600)), at(13, 5003));
        assert_eq!(clock.instant(at(8, 9000)), at(8, 4998));
        assert_eq!(clock.tolerance(), Millis::ZERO);
    }

    #[test]
    fn coordinator_reads_its_clock_during_the_read() {
        let clock = Clocks::default();
        clock.learn(Some(5_000_000), at(10, 9000), at(12, 9002));
        assert_eq!(clock.instant(at(12, 9002)).wall, 5_001_000);
    }

    #[test]
    fn read_during_which_the_clock_was_set_tells_nothing() {
        let clock = learned();
        clock.learn(Some(5_000_000), at(10, 9000), at(15, 9005));
        assert!(clock.is_unknown());
        assert_eq!(clock.instant(at(13, 12_600)), at(13, 5003));
    }

    #[test]
    fn own_clock_counts_with_a_tolerance_if_the_coordinator_has_none() {
        let clock = Clocks::default();
        assert!(clock.is_unknown());
        assert_eq!(clock.tolerance(), TOLERANCE);
        clock.learn(None, at(10, 9000), at(10, 9000));
        assert!(!clock.is_unknown() && !clock.is_shared());
        assert_eq!(clock.instant(at(11, 9001)), at(11, 9001));
        assert_eq!(clock.tolerance(), TOLERANCE);
    }

    #[test]
    fn jump_of_the_clock_is_noticed() {
        for (now, is_jump) in [
            (at(20, 9010), false),
            (at(20, 9012), false),
            (at(20, 9013), true),
            (at(20, 9007), true),
            (at(20, 5000), true),
            (at(20, 12_600), true),
        ] {
            let clock = learned();
            clock.read(now);
            assert_eq!(clock.is_unknown(), is_jump, "{now:?}");
        }
    }

    #[test]
    fn time_is_doubtful_a_minute_after_a_read_without_a_monotonic_clock() {
        for (seconds, is_doubtful) in [(60, false), (61, true)] {
            let clock = Clocks::default();
            let start = clock.read(at(9000, 9000));
            clock.learn(Some(5_000_000), start, start);
            clock.read(at(9000 + seconds, 9000 + seconds));
            assert_eq!(clock.is_unknown(), is_doubtful);
        }
    }

    #[test]
    fn notable_difference_is_reported_once_an_hour() {
        let clock = Clocks::default();
        let now = at(10, 9000);
        assert_eq!(clock.difference(8_996_000, &now), None);
        assert_eq!(clock.difference(8_820_000, &now), Some((180, true)));
        assert_eq!(clock.difference(8_820_000, &at(3609, 12_599)), None);
        let later = at(3610, 12_600);
        assert_eq!(clock.difference(12_780_000, &later), Some((180, false)));
    }
}
