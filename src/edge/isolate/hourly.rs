//! A limit for lines that come again and again: one an hour.

use core::cell::Cell;

use rules::base::clock::{Instant, Millis};

/// The shortest time between two reports.
const AN_HOUR: Millis = Millis::from_secs(3600);

/// The time of the last report of one kind.
#[derive(Default)]
pub(crate) struct Hourly(Cell<Option<Instant>>);

impl Hourly {
    /// Returns true if a report may be made now, and counts it as made.
    pub(crate) fn may_report(&self, now: &Instant) -> bool {
        let is_due = self.0.get().is_none_or(|at| at.elapsed(now) >= AN_HOUR);
        if is_due {
            self.0.set(Some(*now));
        }
        is_due
    }
}
