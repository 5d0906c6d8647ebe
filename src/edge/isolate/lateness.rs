//! Late periods of an isolate's process.
//!
//! In a *late period*, a process stands still or is too busy to read requests: it was suspended, or its processor was
//! starved. The *lateness* is the period's length. The process then reads a request later than it arrived. A cookie that
//! was current when its browser sent it may have been replaced long ago: this does not show a copy. Some time after the
//! period it still reads requests that waited, so none of them counts as having arrived after the period's start.

use core::cell::Cell;

use rules::base::clock::{Instant, Millis};

/// A request that is read this long after a late period may have waited since the period's start. Late periods with less
/// time between them count as one.
const BACKLOG: Millis = Millis::from_secs(10);

/// The longest lateness for which a replaced cookie is still accepted, and the longest time that late periods in a row count
/// as one. An attacker who keeps a process busy gains this time for a copied cookie.
pub(crate) const MOST_ADDED: Millis = Millis::from_secs(300);

/// An excused failure is forgotten after this time.
const EXCUSED: Millis = Millis::from_secs(60);

/// The latest late period of an isolate's process.
#[derive(Default)]
pub(crate) struct Lateness(Cell<Option<Period>>);

/// The last failure of a server that a late period has excused.
#[derive(Default)]
pub(crate) struct Excuse(Cell<Option<Instant>>);

#[derive(Clone, Copy)]
struct Period {
    start: Instant,
    end: Instant,
}

impl Lateness {
    /// Takes a late period that the host noticed, which ends `now`.
    pub(crate) fn note(&self, lateness: Millis, now: Instant) {
        let before = |time: Millis| now.back_to(now.wall.saturating_sub(time.0));
        let mut start = before(lateness);
        if let Some(last) = self.0.get()
            && last.end.elapsed(&start) <= BACKLOG
            && last.start.monotonic <= start.monotonic
        {
            start = before(last.start.elapsed(&now).min(MOST_ADDED).max(lateness));
        }
        self.0.set(Some(Period { start, end: now }));
    }

    /// Returns the longest time for which a request may have waited that was read at this time by the machine's own clocks.
    pub(crate) fn of(&self, read: &Instant) -> Millis {
        let Some(Period { start, end }) = self.0.get() else {
            return Millis::ZERO;
        };
        let waited = start.elapsed(read);
        match read.monotonic >= start.monotonic && end.elapsed(read) <= BACKLOG {
            true => waited,
            false => Millis::ZERO,
        }
    }

    /// The part of a lateness that is added to the time for which a replaced cookie is accepted. Within the rest, the cookie
    /// is refused and its session lives.
    pub(crate) fn added(lateness: Millis) -> Millis {
        lateness.min(MOST_ADDED)
    }

    /// Returns true if a late period has ended since `asked`, so that the process may have read a response late.
    pub(crate) fn was_since(&self, asked: &Instant) -> bool {
        self.0
            .get()
            .is_some_and(|period| period.end.monotonic >= asked.monotonic)
    }
}

impl Excuse {
    /// Returns true if a call that began at `asked` and failed `now` says nothing about the server, because the process may
    /// have read its response late. A process that is late again and again would never notice an outage, so the next failure
    /// counts.
    pub(crate) fn covers(&self, lateness: &Lateness, asked: &Instant, now: &Instant) -> bool {
        if !lateness.was_since(asked) {
            return false;
        }
        let last = self.0.get().filter(|last| last.elapsed(now) < EXCUSED);
        if last.is_none() {
            self.0.set(Some(*now));
        }
        last.is_none_or(|last| asked.monotonic < last.monotonic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isolate::at_second as at;

    const fn seconds(seconds: u64) -> Millis {
        Millis::from_secs(seconds)
    }

    #[test]
    fn requests_after_a_late_period_may_have_waited() {
        let lateness = Lateness::default();
        assert_eq!(lateness.of(&at(50)), Millis::ZERO);
        lateness.note(seconds(77), at(177));
        for (read, waited) in [(99, 0), (100, 0), (177, 77), (187, 87), (188, 0)] {
            assert_eq!(lateness.of(&at(read)), seconds(waited), "{read}");
        }
    }

    #[test]
    fn late_periods_in_a_row_are_one() {
        let lateness = Lateness::default();
        lateness.note(seconds(5), at(105));
        lateness.note(seconds(5), at(120));
        assert_eq!(lateness.of(&at(120)), seconds(20));
        lateness.note(seconds(5), at(136));
        assert_eq!(lateness.of(&at(136)), seconds(5));
    }

    // claim: handler-23
    #[test]
    fn late_periods_in_a_row_have_a_limit() {
        let lateness = Lateness::default();
        for end in (1000..3000).step_by(11) {
            lateness.note(seconds(2), at(end));
        }
        assert_eq!(lateness.of(&at(2991)), MOST_ADDED);
        lateness.note(seconds(5000), at(8000));
        assert_eq!(lateness.of(&at(8000)), seconds(5000));
    }

    #[test]
    fn response_was_read_late_if_a_period_ended_since_the_request() {
        let lateness = Lateness::default();
        lateness.note(seconds(5), at(105));
        assert!(lateness.was_since(&at(101)));
        assert!(!lateness.was_since(&at(106)));
    }

    #[test]
    fn late_period_excuses_one_failure() {
        let (lateness, excuse) = (Lateness::default(), Excuse::default());
        lateness.note(seconds(2), at(103));
        for (asked, failed, is_excused) in [
            (100, 104, true),
            // It was in flight when the first one failed.
            (102, 105, true),
        ] {
            assert_eq!(
                excuse.covers(&lateness, &at(asked), &at(failed)),
                is_excused
            );
        }
        lateness.note(seconds(2), at(108));
        assert!(!excuse.covers(&lateness, &at(106), &at(109)));
        lateness.note(seconds(2), at(203));
        assert!(
            excuse.covers(&lateness, &at(200), &at(204)),
            "a minute later"
        );
    }
}
