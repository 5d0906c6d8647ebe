//! Counts of refused requests for an observer, which gets at most one event a second for each kind.

use rules::prelude::*;

use crate::event::Happened;
use rules::base::clock::{Instant, Millis};
use rules::base::error::Code;

/// The shortest time between two events of one kind.
const INTERVAL: Millis = Millis::from_secs(1);

/// The refused requests with one code and status.
struct Refused {
    code: Code,
    status: u16,
    /// The time of the last event.
    at: Instant,
    /// The number of requests since then.
    count: u64,
}

/// The refused requests by kind.
#[derive(Default)]
pub(crate) struct Refusals(Vec<Refused>);

impl Refusals {
    /// Counts a refused request. Returns an event, unless the last one of this kind was less than a second ago.
    pub(crate) fn count(&mut self, now: &Instant, code: Code, status: u16) -> Option<Happened> {
        let mut known = self.0.iter_mut();
        let known = known.find(|known| (known.code, known.status) == (code, status));
        let Some(known) = known else {
            self.0.push(Refused {
                code,
                status,
                at: *now,
                count: 0,
            });
            return Some(Happened::Refused {
                code,
                status,
                count: 1,
            });
        };
        known.count += 1;
        known.due(now)
    }

    /// Returns the counts that no event has reported, and whose time has come.
    pub(crate) fn due(&mut self, now: &Instant) -> Vec<Happened> {
        self.0
            .iter_mut()
            .filter(|known| known.count > 0)
            .filter_map(|known| known.due(now))
            .collect()
    }
}

impl Refused {
    fn due(&mut self, now: &Instant) -> Option<Happened> {
        if self.at.elapsed(now) < INTERVAL {
            return None;
        }
        self.at = *now;
        Some(Happened::Refused {
            code: self.code,
            status: self.status,
            count: core::mem::take(&mut self.count),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Instant {
        Instant {
            monotonic: Millis(milliseconds),
            wall: milliseconds,
        }
    }

    fn counts(events: impl IntoIterator<Item = Happened>) -> Vec<u64> {
        let count = |event| match event {
            Happened::Refused { count, .. } => count,
            other => panic!("{other:?}"),
        };
        events.into_iter().map(count).collect()
    }

    #[test]
    fn refused_requests_cause_one_event_a_second() {
        let mut refusals = Refusals::default();
        let mut count = |now| counts(refusals.count(&at(now), Code::LoginRequired, 401));
        assert_eq!(count(0), [1]);
        for milliseconds in 1..1000 {
            assert!(count(milliseconds).is_empty());
        }
        assert_eq!(count(1000), [1000]);
    }

    #[test]
    fn kinds_are_counted_apart() {
        let mut refusals = Refusals::default();
        for (code, status) in [
            (Code::LoginRequired, 401),
            (Code::LimitExceeded, 503),
            (Code::LimitExceeded, 500),
        ] {
            assert_eq!(counts(refusals.count(&at(0), code, status)), [1]);
        }
    }

    #[test]
    fn counts_are_reported_without_another_refusal() {
        let mut refusals = Refusals::default();
        for _ in 0..3 {
            refusals.count(&at(0), Code::LoginRequired, 401);
        }
        assert!(refusals.due(&at(999)).is_empty());
        assert_eq!(counts(refusals.due(&at(1000))), [2]);
        assert!(refusals.due(&at(9000)).is_empty());
    }
}
