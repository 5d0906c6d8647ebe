//! Logins that begin at an isolate and do not come back from the provider, as with a redirect URI that it does not know.

use core::cell::Cell;

use crate::isolate::hourly::Hourly;
use rules::base::clock::{Instant, Millis};

/// The log has a line if more logins than this do not come back.
const MANY: u32 = 20;

/// The age of the first login that does not come back, before which the log has no line.
const LONG: Millis = Millis::from_secs(600);

/// The logins that have begun since one came back.
#[derive(Default)]
pub(crate) struct LostLogins {
    count: Cell<u32>,
    /// The begin of the first one.
    since: Cell<Instant>,
    lines: Hourly,
}

impl LostLogins {
    /// Counts a login that begins. Returns true if the caller must log a line.
    pub(crate) fn begin(&self, now: &Instant) -> bool {
        if self.count.get() == 0 {
            self.since.set(*now);
        }
        self.count.set(self.count.get().saturating_add(1));
        let is_loss = self.count.get() > MANY && self.since.get().elapsed(now) >= LONG;
        is_loss && self.lines.may_report(now)
    }

    /// Notes that a login came back, whatever the provider's response says.
    pub(crate) fn note_return(&self) {
        self.count.set(0);
    }
}
