//! Time is an input: the core never reads a clock.
//!
//! Every input carries [`Now`], read from two clocks at once. The monotonic clock cannot be set by
//! the user but may stand still while the device sleeps; the wall clock goes on through sleep but
//! may be set. What has passed since an [`Instant`] is therefore the *larger* of the two readings:
//! a token is never taken for younger than it is.

use core::time::Duration;

/// Milliseconds since the Unix epoch, by the device's wall clock.
pub type UnixMillis = u64;

/// Both clocks, read at the same moment by the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Time since some fixed moment in the life of the host, such as `performance.now()`.
    pub monotonic: Duration,
    /// `Date.now()`: milliseconds since the Unix epoch.
    pub wall: UnixMillis,
}

/// A moment that can be measured from later, by both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instant(Now);

impl Instant {
    /// The moment's reading of the wall clock.
    #[must_use]
    pub const fn wall(self) -> UnixMillis {
        self.0.wall
    }

    /// What has passed since this moment: the larger of what the two clocks say.
    #[must_use]
    pub fn elapsed(self, now: Now) -> Duration {
        let monotonic = now.monotonic.saturating_sub(self.0.monotonic);
        let wall = Duration::from_millis(now.wall.saturating_sub(self.0.wall));
        monotonic.max(wall)
    }
}

impl From<Now> for Instant {
    fn from(now: Now) -> Self {
        Self(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(monotonic_s: u64, wall_s: u64) -> Now {
        Now {
            monotonic: Duration::from_secs(monotonic_s),
            wall: wall_s * 1000,
        }
    }

    #[test]
    fn sleep_that_only_the_wall_clock_saw_counts() {
        let start = Instant::from(now(10, 1_000));
        assert_eq!(start.elapsed(now(11, 4_600)), Duration::from_secs(3_600));
    }

    #[test]
    fn a_wall_clock_set_back_does_not_make_time_run_backwards() {
        let start = Instant::from(now(10, 1_000));
        assert_eq!(start.elapsed(now(70, 400)), Duration::from_secs(60));
    }
}
