//! Time is an input: the core never reads a clock.
//!
//! Every input carries an [`Instant`], read from two clocks at once. The monotonic clock cannot be set by the user, but
//! it may stand still while the device sleeps. The wall clock continues during sleep, but it may be set. The time since
//! an [`Instant`] is therefore the *larger* of the two differences. Neither sleep alone nor a change of the wall clock
//! alone makes a token seem younger than it is.

use core::ops::Add;
use core::time::Duration;

/// Milliseconds since the Unix epoch, by the device's wall clock.
pub type UnixMillis = u64;

/// A span of time in whole milliseconds. [`Duration`] has separate seconds and nanoseconds, so each comparison and
/// addition would take three times the code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub u64);

impl Millis {
    /// Zero milliseconds.
    pub const ZERO: Self = Self(0);

    /// The longest span.
    pub const MAX: Self = Self(u64::MAX);

    /// Creates a span of this many seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        // The code compares instead of calling `saturating_mul`, which would multiply in 128 bits.
        Self(if seconds > u64::MAX / 1000 {
            u64::MAX
        } else {
            seconds * 1000
        })
    }

    /// Returns the number of whole seconds.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// Subtracts `other`, and returns zero if `other` is larger.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Add for Millis {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl From<Duration> for Millis {
    fn from(duration: Duration) -> Self {
        Self::from_secs(duration.as_secs()) + Self(duration.subsec_millis().into())
    }
}

impl From<Millis> for Duration {
    fn from(millis: Millis) -> Self {
        Self::from_millis(millis.0)
    }
}

/// A point in time: both clocks, read at once by the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Instant {
    /// The time since a fixed point in the lifetime of the host, such as `performance.now()`.
    pub monotonic: Millis,
    /// The value of `Date.now()`.
    pub wall: UnixMillis,
}

impl Instant {
    /// Returns the time since this instant: the larger of the two clocks' differences.
    #[must_use]
    pub fn elapsed(&self, now: &Self) -> Millis {
        let monotonic = now.monotonic.saturating_sub(self.monotonic);
        let wall = Millis(now.wall.saturating_sub(self.wall));
        monotonic.max(wall)
    }

    /// Returns the instant before `self` at which the wall clock showed `wall`, if nobody set the wall clock between
    /// the two instants. If `wall` is later than `self`, returns `self`.
    #[must_use]
    pub fn back_to(&self, wall: UnixMillis) -> Self {
        let wall = wall.min(self.wall);
        Self {
            monotonic: self.monotonic.saturating_sub(Millis(self.wall - wall)),
            wall,
        }
    }
}

/// The start of a measurement by a task that may have no clock except the wall clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Both clocks.
    pub at: Instant,
    /// The sum of all waits that the task has completed until now, by timers of the host. Where no clock is steady, this
    /// time is certain to have passed.
    pub waited: Millis,
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
    fn sleep_counts_by_the_wall_clock() {
        let start = at(10, 1_000);
        assert_eq!(start.elapsed(&at(11, 4_600)), Millis::from_secs(3_600));
    }

    #[test]
    fn going_back_moves_both_clocks() {
        let now = at(10, 1_000);
        assert_eq!(now.back_to(997_000), at(7, 997));
        assert_eq!(now.back_to(980_000), at(0, 980));
        assert_eq!(now.back_to(2_000_000), now);
    }

    #[test]
    fn setting_the_wall_clock_back_is_ignored() {
        let start = at(10, 1_000);
        assert_eq!(start.elapsed(&at(70, 400)), Millis::from_secs(60));
    }
}
