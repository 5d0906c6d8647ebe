//! A provider that accepts requests for one of its documents and sends no response, as one isolate sees it.
//!
//! Silence is noted when a request has had no response for as long as requests wait. From then on, one request every few
//! seconds tries the provider, while earlier ones may still be in flight. Other requests wait only a moment. The first
//! response ends the silence.

use crate::isolate::outage;
use rules::base::clock::{Instant, Millis};

/// The requests for one document that have had no response.
#[derive(Default)]
pub(crate) struct Silence {
    /// The start of the first of these requests.
    since: Option<Instant>,
    /// The start of the last attempt since the silence was noted.
    tried: Instant,
    /// The time from one attempt to the next.
    pause: Millis,
    is_noted: bool,
}

impl Silence {
    /// Returns true if requests have had no response for `limit`.
    pub(crate) fn is_noted(&mut self, now: &Instant, limit: Millis) -> bool {
        let is_long = |since: &Instant| since.elapsed(now) >= limit;
        self.is_noted |= self.since.as_ref().is_some_and(is_long);
        self.is_noted
    }

    /// Returns true if a request has neither failed nor had a response. Its client may have disconnected.
    pub(crate) const fn is_open(&self) -> bool {
        self.since.is_some()
    }

    /// Returns true if the next attempt may start.
    pub(crate) fn may_try(&self, now: &Instant) -> bool {
        self.tried.elapsed(now) >= self.pause
    }

    /// Notes that an attempt starts after the silence was noted. `jitter` is any byte of entropy.
    pub(crate) fn tries(&mut self, now: &Instant, jitter: u8) {
        self.tried = *now;
        self.pause = outage::interval(jitter);
    }

    /// Notes that a request is sent.
    pub(crate) fn sent(&mut self, now: &Instant, limit: Millis) {
        // The client of an earlier request may have disconnected long ago, which says nothing about the provider.
        let is_old = |since: &mut Instant| since.elapsed(now) >= limit;
        if !self.is_noted {
            self.since.take_if(is_old);
        }
        self.since.get_or_insert(*now);
    }

    /// Notes that a request failed without a response. It took `time`, and requests wait for `limit`.
    pub(crate) fn failed(&mut self, now: &Instant, time: Millis, limit: Millis) {
        // The host's timer may fire early. A refused connection takes much less time.
        let half = Millis(limit.0 / 2);
        if time < half {
            return self.end();
        }
        // Another request may have had a response since this one was sent.
        let is_long = |since: &Instant| since.elapsed(now) >= half;
        self.is_noted |= self.since.as_ref().is_some_and(is_long);
    }

    /// Ends the silence: the provider has responded.
    pub(crate) fn end(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isolate::at_second as at;

    const LIMIT: Millis = Millis::from_secs(10);

    /// Returns the silence after a request at second 1 that had no response.
    fn noted() -> Silence {
        let mut silence = Silence::default();
        silence.sent(&at(1), LIMIT);
        silence.failed(&at(11), Millis(9_999), LIMIT);
        assert!(silence.is_noted(&at(11), LIMIT));
        silence
    }

    #[test]
    fn first_response_ends_the_silence() {
        let mut silence = noted();
        silence.tries(&at(11), 0);
        assert!(!silence.may_try(&at(12)));
        silence.end();
        assert!(!silence.is_noted(&at(12), LIMIT) && silence.may_try(&at(12)));
        // An earlier request fails.
        silence.failed(&at(20), LIMIT, LIMIT);
        assert!(!silence.is_noted(&at(20), LIMIT));
    }

    #[test]
    fn attempts_are_three_seconds_apart() {
        let mut silence = noted();
        assert!(silence.may_try(&at(11)), "the first one");
        silence.tries(&at(11), 0);
        let due = [12, 13, 14].map(|second| silence.may_try(&at(second)));
        assert_eq!(due, [false, false, true]);
    }

    #[test]
    fn requests_that_wait_note_the_silence() {
        let mut silence = Silence::default();
        silence.sent(&at(1), LIMIT);
        assert!(!silence.is_noted(&at(10), LIMIT));
        assert!(silence.is_noted(&at(11), LIMIT));
    }

    #[test]
    fn refused_connection_is_not_silence() {
        let mut silence = Silence::default();
        silence.sent(&at(1), LIMIT);
        silence.failed(&at(1), Millis(30), LIMIT);
        assert!(!silence.is_open() && !silence.is_noted(&at(60), LIMIT));
    }

    /// Its client disconnected.
    #[test]
    fn request_of_long_ago_is_not_silence() {
        let mut silence = Silence::default();
        silence.sent(&at(1), LIMIT);
        silence.sent(&at(60), LIMIT);
        assert!(!silence.is_noted(&at(62), LIMIT));
        // Requests in a row count from the first one.
        silence.sent(&at(66), LIMIT);
        assert!(silence.is_noted(&at(70), LIMIT));
    }
}
