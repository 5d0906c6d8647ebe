//! The provider's refusal of this client (`invalid_client`), as one isolate sees it: for example, the secret has expired.
//!
//! Then every session's refresh is refused, and some providers lock a client that fails again and again. So the isolate
//! tries only one refresh every five seconds, for any session. The responses to other requests that need a refresh say when
//! to try again. The first tokens that the provider issues to this client end the pause for all sessions.

use core::cell::Cell;

use rules::base::clock::{Instant, Millis};

/// The time from one refresh to the next while the provider refuses the client.
const INTERVAL: Millis = Millis::from_secs(5);

/// The refusal, if there was one and the provider has issued no tokens since.
#[derive(Default)]
pub(crate) struct ClientRefusal {
    /// The time of the last attempt or refusal.
    tried: Cell<Option<Instant>>,
    /// True if the log has a line about it.
    is_logged: Cell<bool>,
}

impl ClientRefusal {
    /// Returns true if the provider has refused the client, and has issued no tokens since.
    pub(crate) fn is_active(&self) -> bool {
        self.tried.get().is_some()
    }

    /// Returns the time until a request may try its refresh.
    pub(crate) fn left(&self, now: &Instant) -> Millis {
        let tried = self.tried.get();
        tried.map_or(Millis::ZERO, |at| INTERVAL.saturating_sub(at.elapsed(now)))
    }

    /// Notes that the provider has refused the client.
    pub(crate) fn begin(&self, now: &Instant) {
        self.tried.set(Some(*now));
    }

    /// Notes that a request tries its refresh.
    pub(crate) fn tries(&self, now: &Instant) {
        if self.is_active() {
            self.begin(now);
        }
    }

    /// Notes that the log has a line about the refusal.
    pub(crate) fn note_line(&self) {
        self.is_logged.set(self.is_active());
    }

    /// Ends the refusal: the provider has issued tokens to the client. Returns true if the log has a line about it.
    pub(crate) fn end(&self) -> bool {
        self.tried.set(None);
        self.is_logged.take()
    }
}
