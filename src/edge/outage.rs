//! Whether the provider responds to this isolate at all.
//!
//! When the refreshes of two sessions have failed in a row, the provider is taken to be down. From then on one request
//! every few seconds may try its refresh, whichever session it is of, and all others are told when to come back. Any
//! response that is not a fault of the provider's ends the outage for all sessions at once: they are served again within
//! five seconds of the provider's return, however long it was away, and meanwhile it is not stormed.

use crate::prelude::*;

use crate::clock::{Instant, Millis};

/// The time between two probes, and between two attempts for one session: this and up to [`JITTER`].
const INTERVAL: Millis = Millis::from_secs(3);
const JITTER: u64 = 1000;

/// What an isolate knows of an outage of the provider.
#[derive(Default)]
pub(super) struct Outage {
    /// The session whose refresh was the last to fail.
    failed: Option<String>,
    is_down: bool,
    /// The start of the last probe.
    probed: Instant,
    interval: Millis,
}

/// The time until another attempt after one that failed. `jitter` is any byte of entropy.
pub(super) fn interval(jitter: u8) -> Millis {
    INTERVAL + Millis(JITTER * u64::from(jitter) / 255)
}

impl Outage {
    /// The refresh of a session failed: there was no response, or a server error.
    pub(super) fn failed(&mut self, sid: &str, now: &Instant, jitter: u8) {
        let is_other = self.failed.as_ref().is_some_and(|failed| failed != sid);
        if is_other && !self.is_down {
            self.is_down = true;
            self.probed = *now;
        }
        self.interval = interval(jitter);
        self.failed = Some(sid.to_owned());
    }

    /// The provider has responded.
    pub(super) fn is_over(&mut self) {
        *self = Self::default();
    }

    /// Lets a request try its refresh.
    ///
    /// # Errors
    /// The time after which another one may.
    pub(super) fn probe(&mut self, now: &Instant) -> Result<(), Millis> {
        let left = self.interval.saturating_sub(self.probed.elapsed(now));
        if self.is_down && left > Millis::ZERO {
            return Err(left);
        }
        self.probed = *now;
        Ok(())
    }
}
