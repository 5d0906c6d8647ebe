//! The start of a session and the user's latest activity in it.

use crate::base::clock::{Instant, Millis};
use crate::config::Limits;
use crate::oauth::identity::Identity;
use crate::session::EndReason;

/// The times that a session's limits depend on.
#[derive(Clone, Debug)]
pub struct Times {
    pub(super) started: Instant,
    pub(super) last_activity: Instant,
    /// The number of stored activities. The vault with the higher number knows the later activity. An activity that is
    /// only in memory is not counted.
    pub(super) stored_activities: u64,
    /// The time from the session's start to the end that the provider has stated, or [`Millis::MAX`]. The absolute limit
    /// is not included, because a later deployment may have a longer limit.
    pub(super) longest: Millis,
}

impl Times {
    /// Returns the times of a session that begins. The provider has stated that it lasts for at most `longest`.
    pub(super) const fn begin(now: Instant, longest: Millis) -> Self {
        Self {
            started: now,
            last_activity: now,
            stored_activities: 0,
            longest,
        }
    }

    /// Returns the time of the session's start.
    #[must_use]
    pub const fn beginning(&self) -> &Instant {
        &self.started
    }

    /// Returns true if the session started after `at`.
    #[must_use]
    pub fn began_after(&self, at: &Instant, now: &Instant) -> bool {
        self.started.elapsed(now) < at.elapsed(now)
    }

    /// Returns the maximum time of the session.
    pub(super) fn maximum(&self, limits: &Limits) -> Millis {
        self.longest.min(limits.absolute)
    }

    /// Returns the time to the stated end after an ID token that was requested at `requested`. The earliest end that the
    /// provider has stated in this session counts.
    pub(super) fn longest_with(&self, user: &Identity, requested: &Instant) -> Millis {
        let before = self.started.elapsed(requested);
        self.longest.min(before + user.session_lifetime())
    }

    /// Records activity of the user in memory.
    pub const fn record_activity(&mut self, now: &Instant) {
        self.last_activity = *now;
    }

    /// Returns the number of stored activities.
    #[must_use]
    pub const fn stored_activities(&self) -> u64 {
        self.stored_activities
    }

    /// Counts an activity that is about to be stored.
    pub const fn count_activity(&mut self) {
        self.stored_activities += 1;
    }

    /// Takes back the count of an activity that was not stored, so that another vault may use the same number.
    pub const fn uncount_activity(&mut self) {
        self.stored_activities = self.stored_activities.saturating_sub(1);
    }

    /// Adopts the activity that another vault stored, unless this vault knows later activity. Times without a higher
    /// number of stored activities are ignored, because a clock that was set back makes earlier times look later than
    /// they were.
    pub fn adopt_activity(&mut self, stored: &Self, now: &Instant) {
        if stored.stored_activities > self.stored_activities {
            self.stored_activities = stored.stored_activities;
            if stored.last_activity.elapsed(now) < self.last_activity.elapsed(now) {
                self.last_activity = stored.last_activity;
            }
        }
    }

    /// Prepares these times, which were read from the store, to replace `ours`, the times in this vault. The times in
    /// memory are more precise than the stored ones, which depend on the wall clock. The earlier start and the later
    /// activity are kept.
    pub(super) fn succeed(&mut self, ours: &Self, now: &Instant) {
        if ours.started.elapsed(now) >= self.started.elapsed(now) {
            self.started = ours.started;
        }
        if ours.last_activity.elapsed(now) <= self.last_activity.elapsed(now) {
            self.last_activity = ours.last_activity;
        }
        self.longest = self.longest.min(ours.longest);
    }

    /// Returns the reason to end the session, if it has reached a limit.
    pub(super) fn limit_reached(&self, limits: &Limits, now: &Instant) -> Option<EndReason> {
        let maximum = self.maximum(limits);
        // control: absolute_limit_counts_sleep
        if self.started.elapsed(now) >= maximum {
            Some(EndReason::at_maximum_time(maximum, limits))
        } else if self.last_activity.elapsed(now) >= limits.idle {
            // control: idle_limit
            Some(EndReason::Idle)
        } else {
            None
        }
    }

    /// Returns the time until the session reaches a limit, if the user is not active until then.
    pub(super) fn until_limit(&self, limits: &Limits, now: &Instant) -> Millis {
        let maximum = self.maximum(limits);
        let absolute = maximum.saturating_sub(self.started.elapsed(now));
        let idle = limits.idle.saturating_sub(self.last_activity.elapsed(now));
        absolute.min(idle)
    }
}
