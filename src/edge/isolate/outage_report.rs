//! Lines of the log about an outage: one when it begins, at most one a minute with the number of refused requests, and one
//! when it is over.

use rules::prelude::*;

use rules::base::clock::{Instant, Millis};

/// The shortest time between two lines about one fault.
pub(crate) const A_MINUTE: Millis = Millis::from_secs(60);

/// The outage of one server, as this isolate sees it.
#[derive(Default)]
pub(crate) struct OutageReport {
    began: Option<Instant>,
    /// The time of the last line about this server. A server that fails and recovers several times within a minute gets one line.
    last_line: Option<Instant>,
    /// True if a line says that the outage has begun.
    is_logged: bool,
    /// The number of requests that were refused since the last line.
    refused_since_line: u64,
    /// The number of requests that were refused since the outage began.
    refused: u64,
    /// The last failure.
    last_failure: String,
}

/// The duration of an outage or of a part of it, and the number of requests that were refused in it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Period {
    pub(crate) duration: Millis,
    pub(crate) refused: u64,
    /// True if the log has a line about it.
    pub(crate) is_logged: bool,
}

impl OutageReport {
    /// Notes a failure. Returns `None` if the server is down already, and otherwise true if the caller must log a line.
    pub(crate) fn fail(&mut self, now: &Instant, failure: String) -> Option<bool> {
        self.last_failure = failure;
        if self.began.is_some() {
            return None;
        }
        self.began = Some(*now);
        self.refused = 0;
        self.is_logged = self.last_line.is_none_or(|at| at.elapsed(now) >= A_MINUTE);
        if self.is_logged {
            self.last_line = Some(*now);
            self.refused_since_line = 0;
        }
        Some(self.is_logged)
    }

    /// Counts a refused request. Returns the requests since the last line if it is time for another line.
    pub(crate) fn refuse(&mut self, now: &Instant) -> Option<Period> {
        self.began?;
        self.refused_since_line += 1;
        self.refused += 1;
        let duration = self.last_line.map_or(A_MINUTE, |at| at.elapsed(now));
        if duration < A_MINUTE {
            return None;
        }
        self.last_line = Some(*now);
        self.is_logged = true;
        let refused = core::mem::take(&mut self.refused_since_line);
        Some(Period {
            duration,
            refused,
            is_logged: true,
        })
    }

    /// Notes that the server works. Returns the outage, if there was one.
    pub(crate) fn end(&mut self, now: &Instant) -> Option<Period> {
        let began = self.began.take()?;
        Some(Period {
            duration: began.elapsed(now),
            refused: self.refused,
            is_logged: core::mem::take(&mut self.is_logged),
        })
    }

    /// Returns true in an outage.
    pub(crate) const fn is_down(&self) -> bool {
        self.began.is_some()
    }

    /// Returns the last failure, or an empty string.
    pub(crate) fn last_failure(&self) -> &str {
        &self.last_failure
    }

    /// Returns the time since which the server is down.
    pub(crate) const fn began(&self) -> Option<Instant> {
        self.began
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isolate::at_second as at;

    #[test]
    fn outage_has_two_lines_and_one_each_minute() {
        let mut down = OutageReport::default();
        assert_eq!(down.fail(&at(0), "a".to_owned()), Some(true));
        let mut lines = Vec::new();
        for second in 0..150 {
            assert_eq!(down.fail(&at(second), "b".to_owned()), None);
            lines.extend(down.refuse(&at(second)).map(|period| period.refused));
        }
        assert_eq!(lines, [61, 60]);
        assert_eq!(down.last_failure(), "b");
        let end = Period {
            duration: Millis::from_secs(150),
            refused: 150,
            is_logged: true,
        };
        assert_eq!(down.end(&at(150)), Some(end));
        assert_eq!(down.end(&at(151)), None);
    }

    #[test]
    fn server_that_fails_again_and_again_causes_one_line_a_minute() {
        let mut down = OutageReport::default();
        let mut lines = Vec::new();
        for second in 0..130 {
            let begun = down.fail(&at(second), String::new());
            let counted = down.refuse(&at(second)).map(|period| period.refused);
            let end = down.end(&at(second)).unwrap();
            assert!(begun.is_some());
            if begun == Some(true) || counted.is_some() {
                assert!(end.is_logged);
                lines.push((second, counted));
            } else {
                assert!(!end.is_logged);
            }
        }
        assert_eq!(lines, [(0, None), (60, None), (120, None)]);
    }

    #[test]
    fn request_that_is_refused_without_an_outage_does_not_count() {
        let mut down = OutageReport::default();
        assert_eq!(down.refuse(&at(0)), None);
        down.fail(&at(1), String::new());
        assert_eq!(down.end(&at(2)).unwrap().refused, 0);
    }
}
