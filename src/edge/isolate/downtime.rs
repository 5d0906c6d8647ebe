//! Lines of the log about a server that does not respond: one when that begins, at most one a minute with the number of
//! refused requests, and one when it is over.

use rules::prelude::*;

use rules::base::clock::{Instant, Millis};

/// The shortest time between two lines about one fault.
pub(crate) const A_MINUTE: Millis = Millis::from_secs(60);

/// The downtime of one server, as this isolate sees it.
#[derive(Default)]
pub(crate) struct Downtime {
    began: Option<Instant>,
    /// The time of the last line that says that the server is down. A server that fails again and again within a minute causes no
    /// further lines than those with numbers.
    told: Option<Instant>,
    is_told: bool,
    /// The number of requests that were refused since the last line.
    recent: u64,
    /// The number of requests that were refused since the downtime began.
    all: u64,
    /// The last failure.
    last: String,
}

/// The duration of a downtime or of a part of it, and the number of requests that were refused in it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) duration: Millis,
    pub(crate) refused: u64,
    /// True if a line says so.
    pub(crate) is_told: bool,
}

impl Downtime {
    /// Notes a failure. If a downtime begins with it, returns true if a line says so, and false otherwise.
    pub(crate) fn fail(&mut self, now: &Instant, last: String) -> Option<bool> {
        self.last = last;
        if self.began.is_some() {
            return None;
        }
        self.began = Some(*now);
        self.all = 0;
        self.is_told = self.told.is_none_or(|told| told.elapsed(now) >= A_MINUTE);
        if self.is_told {
            self.told = Some(*now);
            self.recent = 0;
        }
        Some(self.is_told)
    }

    /// Counts a refused request. Returns the requests since the last line if it is time for another line.
    pub(crate) fn refuse(&mut self, now: &Instant) -> Option<Span> {
        self.began?;
        self.recent += 1;
        self.all += 1;
        let duration = self.told.map_or(A_MINUTE, |told| told.elapsed(now));
        if duration < A_MINUTE {
            return None;
        }
        self.told = Some(*now);
        self.is_told = true;
        let refused = core::mem::take(&mut self.recent);
        Some(Span {
            duration,
            refused,
            is_told: true,
        })
    }

    /// Notes that the server responds. Returns the downtime, if there was one.
    pub(crate) fn end(&mut self, now: &Instant) -> Option<Span> {
        let began = self.began.take()?;
        Some(Span {
            duration: began.elapsed(now),
            refused: self.all,
            is_told: core::mem::take(&mut self.is_told),
        })
    }

    /// Returns true during a downtime.
    pub(crate) const fn is_down(&self) -> bool {
        self.began.is_some()
    }

    /// Returns the last failure, or an empty string.
    pub(crate) fn last(&self) -> &str {
        &self.last
    }

    /// Returns the time since which the server is down.
    pub(crate) const fn began(&self) -> Option<Instant> {
        self.began
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant {
            monotonic: Millis::from_secs(seconds),
            wall: seconds * 1000,
        }
    }

    #[test]
    fn downtime_has_two_lines_and_one_each_minute() {
        let mut down = Downtime::default();
        assert_eq!(down.fail(&at(0), "a".to_owned()), Some(true));
        let mut lines = Vec::new();
        for second in 0..150 {
            assert_eq!(down.fail(&at(second), "b".to_owned()), None);
            lines.extend(down.refuse(&at(second)).map(|span| span.refused));
        }
        assert_eq!(lines, [61, 60]);
        assert_eq!(down.last(), "b");
        let end = Span {
            duration: Millis::from_secs(150),
            refused: 150,
            is_told: true,
        };
        assert_eq!(down.end(&at(150)), Some(end));
        assert_eq!(down.end(&at(151)), None);
    }

    #[test]
    fn server_that_fails_again_and_again_causes_one_line_a_minute() {
        let mut down = Downtime::default();
        let mut lines = Vec::new();
        for second in 0..130 {
            let begun = down.fail(&at(second), String::new());
            let counted = down.refuse(&at(second)).map(|span| span.refused);
            let end = down.end(&at(second)).unwrap();
            assert!(begun.is_some());
            if begun == Some(true) || counted.is_some() {
                assert!(end.is_told);
                lines.push((second, counted));
            } else {
                assert!(!end.is_told);
            }
        }
        assert_eq!(lines, [(0, None), (60, None), (120, None)]);
    }

    #[test]
    fn request_that_is_refused_without_a_downtime_does_not_count() {
        let mut down = Downtime::default();
        assert_eq!(down.refuse(&at(0)), None);
        down.fail(&at(1), String::new());
        assert_eq!(down.end(&at(2)).unwrap().refused, 0);
    }
}
