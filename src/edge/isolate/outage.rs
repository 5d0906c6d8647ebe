//! Outages of the provider, as one isolate sees them.
//!
//! After failed refreshes of two sessions in a row, the isolate assumes that the provider is down. From then on, the
//! isolate tries only one refresh every few seconds, for any session. Other requests that need a refresh are told when
//! to try again. The outage ends for all sessions at once with the first response that is neither a temporary failure
//! nor a request to wait. Sessions therefore recover within five seconds of the provider's return, and the provider is
//! not flooded with requests during the outage.
//!
//! A provider that accepts requests and sends no response counts as failed as soon as requests no longer wait for the
//! refresh, and not only when the refresh has failed. Until the provider responds, requests wait only a moment, except
//! the request that tries the provider.
//!
//! A provider that asks to wait (`Retry-After`) is tried after that time, also by one refresh every few seconds. A response
//! to a login or refresh that is neither 5xx nor 429 ends the wait: the provider may have meant one session only.
//!
//! The provider may also be up and fail for a few sessions only. So a session whose refresh has just failed leaves the
//! next attempt to another session, if the other session's client was told to come back.

use rules::prelude::*;

use rules::base::clock::{Instant, Millis};

/// The shortest time between two probes of the provider. It is also the shortest time before the third and each later
/// attempt for one session. A random time of up to [`JITTER`] milliseconds is added.
const INTERVAL: Millis = Millis::from_secs(3);
const JITTER: u64 = 1000;

/// The longest wait that a provider may ask for.
const LONGEST: Millis = Millis::from_secs(600);

/// The time after a probe during which the next probe is reserved for a session that was told to come back. A client
/// may come back up to a second late, since `Retry-After` is in whole seconds.
const RESERVED: Millis = Millis::from_secs(5);

/// For this time after its refresh failed, a session leaves probes to other sessions.
pub(crate) const YIELDING: Millis = Millis::from_secs(30);

/// The outage of the provider as one isolate sees it.
#[derive(Default)]
pub(crate) struct Outage {
    /// The ID of the session whose refresh failed most recently.
    failed: Option<String>,
    is_down: bool,
    /// True if a refresh had no response for as long as a request waits for it, and the provider has not responded since.
    is_silent: bool,
    /// The start of the last probe. If the outage began after it: the start of the outage.
    probed: Instant,
    interval: Millis,
    /// True if a session that has not failed lately was told to come back.
    is_awaited: bool,
    /// True if the provider asked to wait for `interval`, and no attempt has started since then.
    is_told: bool,
    /// The user to whom the provider last responded with 429, the time of that response, and the wait that it asked for.
    limited: Option<(String, Instant, Millis)>,
}

/// Returns [`INTERVAL`] plus a random time of up to [`JITTER`] milliseconds. `jitter` is any byte of entropy.
pub(crate) fn interval(jitter: u8) -> Millis {
    INTERVAL + Millis(JITTER * u64::from(jitter) / 255)
}

impl Outage {
    /// Records that the refresh of a session failed temporarily, such as without a response.
    pub(crate) fn failed(&mut self, sid: &str, now: &Instant, jitter: u8) {
        let is_other = self.failed.as_ref().is_some_and(|failed| failed != sid);
        if is_other && !self.is_down {
            self.is_down = true;
            self.probed = *now;
        }
        if !self.must_wait(now) {
            self.interval = interval(jitter);
        }
        self.failed = Some(sid.to_owned());
    }

    /// Records that the refresh of a session has had no response for as long as a request waits for it.
    pub(crate) fn silent(&mut self, sid: &str, now: &Instant, jitter: u8) {
        self.failed(sid, now, jitter);
        self.is_silent = true;
    }

    /// Returns true if the provider is down.
    pub(crate) const fn is_down(&self) -> bool {
        self.is_down
    }

    /// Returns true if the provider is down, and does not respond at all.
    pub(crate) fn is_silent(&self) -> bool {
        self.is_down && self.is_silent
    }

    /// Records that the provider asked to wait: with 503 for all sessions, with 429 for this session. If another user
    /// is still asked to wait by a 429, and nobody got a different response since, a 429 also counts for all sessions.
    pub(crate) fn told_to_wait(
        &mut self,
        user: &str,
        now: &Instant,
        status: u16,
        wait: Millis,
        jitter: u8,
    ) {
        self.is_silent = false;
        let wait = wait.clamp(interval(jitter), LONGEST);
        let is_other = self
            .limited
            .as_ref()
            .is_some_and(|(other, since, wait)| other != user && since.elapsed(now) < *wait);
        // control: wait_applies_to_all_sessions
        if status == 503 || is_other {
            self.is_down = true;
            self.is_told = true;
            self.probed = *now;
            self.interval = wait;
        }
        if status == 429 {
            self.limited = Some((user.to_owned(), *now, wait));
        }
    }

    /// Returns true if the provider asked to wait, and the time has not passed.
    pub(crate) fn must_wait(&self, now: &Instant) -> bool {
        self.is_told && self.probed.elapsed(now) < self.interval
    }

    /// Ends the outage: the provider has responded.
    pub(crate) fn end(&mut self) {
        *self = Self::default();
    }

    /// Returns the time until a request may try its refresh, as far as is known now. `yields` is true for a session that failed
    /// less than [`YIELDING`] ago.
    pub(crate) fn left(&self, now: &Instant, yields: bool) -> Millis {
        let pause = if yields && self.is_awaited {
            RESERVED.max(self.interval)
        } else {
            self.interval
        };
        match self.is_down {
            true => pause.saturating_sub(self.probed.elapsed(now)),
            false => Millis::ZERO,
        }
    }

    /// Lets a request try its refresh. `yields` is true for a session that failed less than [`YIELDING`] ago.
    ///
    /// # Errors
    /// The time until the next attempt may start.
    pub(crate) fn probe(&mut self, now: &Instant, yields: bool) -> Result<(), Millis> {
        let left = self.left(now, yields);
        if left > Millis::ZERO {
            self.is_awaited |= !yields;
            return Err(left);
        }
        self.probed = *now;
        self.is_awaited = false;
        // The asked time counts once, even if the request sends no refresh after all.
        let is_told = core::mem::take(&mut self.is_told);
        if is_told || self.interval < INTERVAL {
            self.interval = INTERVAL;
        }
        Ok(())
    }

    /// Lets another request try its refresh at once: another isolate had refreshed the session of the last one, so the
    /// provider was not asked. A time for which the provider asked to wait stays.
    pub(crate) fn was_not_tried(&mut self) {
        if !self.is_told {
            self.interval = Millis::ZERO;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_three_to_four_seconds_apart() {
        assert_eq!(interval(0), Millis::from_secs(3));
        assert_eq!(interval(51), Millis(3200));
        assert_eq!(interval(255), Millis::from_secs(4));
    }
}
