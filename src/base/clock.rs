//! Time is an input: the core never reads a clock.
//!
//! Every input carries an [`Instant`], read from two clocks at once. The monotonic clock cannot be set by
//! the user but may stand still while the device sleeps; the wall clock goes on through sleep but
//! may be set. What has passed since an [`Instant`] is therefore the *larger* of the two readings:
//! a token is never taken for younger than it is.

use core::ops::Add;
use core::time::Duration;

/// Milliseconds since the Unix epoch, by the device's wall clock.
pub type UnixMillis = u64;

/// A span of time in whole milliseconds. [`Duration`] counts seconds and nanoseconds apart, which is
/// three times the code wherever two are compared or added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub u64);

impl Millis {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// The longest span.
    pub const MAX: Self = Self(u64::MAX);

    /// So many seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// The whole seconds in it.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// What is left when `other` is taken away: nothing, if that is more.
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

/// A moment: both clocks, read at once by the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Instant {
    /// Time since some fixed moment in the life of the host, such as `performance.now()`.
    pub monotonic: Millis,
    /// `Date.now()`.
    pub wall: UnixMillis,
}

impl Instant {
    /// What has passed since this moment: the larger of what the two clocks say.
    #[must_use]
    pub fn elapsed(&self, now: &Self) -> Millis {
        let monotonic = now.monotonic.saturating_sub(self.monotonic);
        let wall = Millis(now.wall.saturating_sub(self.wall));
        monotonic.max(wall)
    }
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
    fn sleep_that_only_the_wall_clock_saw_counts() {
        let start = at(10, 1_000);
        assert_eq!(start.elapsed(&at(11, 4_600)), Millis::from_secs(3_600));
    }

    #[test]
    fn a_wall_clock_set_back_does_not_make_time_run_backwards() {
        let start = at(10, 1_000);
        assert_eq!(start.elapsed(&at(70, 400)), Millis::from_secs(60));
    }
}
