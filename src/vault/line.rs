//! The line between this device and the network: when it may last have changed, and when a server last answered.
//!
//! A provider may replace a refresh token with each refresh. If the response is then lost, the session can end. Most
//! responses are lost in the seconds after a device wakes up or its network changes, because further changes follow and
//! each of them ends the requests in flight. The refresh therefore waits after a sign of a change (a doubt) until the line
//! has been quiet for some time and a server has answered: see [`crate::refresh`]. This part knows nothing about refreshes.

use rules::base::clock::{Instant, Millis};
use rules::codec::url;
use rules::prelude::*;

/// The wall clock is this much further ahead after the device has slept, if its monotonic clock stands still in sleep.
const NOTICED_SLEEP: Millis = Millis::from_secs(2);
/// The longest time until the next input while a session and a page exist: the heartbeat.
pub(crate) const HEARTBEAT: Millis = Millis::from_secs(60);
/// The device has slept if no input has arrived for this time, although the vault asked for a tick after [`HEARTBEAT`].
/// Browsers delay the timers of hidden pages by up to a minute.
pub(crate) const MISSED_HEARTBEATS: Millis = Millis::from_secs(180);
/// Reports of pages that say the same count at most once in this time.
const REPORT_INTERVAL: Millis = Millis::from_secs(10);

/// The number of failures within [`FAILURE_WINDOW`] that count as doubts, of an origin that answers in between.
const MAX_FAILURES: u32 = 3;
/// The time in which the failures of an origin are counted.
const FAILURE_WINDOW: Millis = Millis::from_secs(600);

/// A sign that the line may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// The device has slept.
    Slept,
    /// A page has reported that the device is online or offline.
    Reported,
    /// A request has failed without a response.
    Failed,
}

impl Doubt {
    /// Returns the name of the sign for inspectors.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Slept => "sleep",
            Self::Reported => "online or offline",
            Self::Failed => "no response",
        }
    }
}

/// The latest facts about the line. All times are monotonic.
#[derive(Default)]
pub(super) struct Line {
    last_input: Option<Instant>,
    doubted: Option<Millis>,
    /// The time since which the line is quiet.
    quiet_since: Option<Millis>,
    /// The times of the last report that the device is offline, and of the last one that it is online.
    reported: [Option<Millis>; 2],
    from_server: Option<ServerResponse>,
    /// The start of the latest request that any server, cache or service worker has answered.
    answered_since: Option<Millis>,
    /// The origins that have left a request without a response.
    failing: Vec<Failing>,
}

/// An origin that leaves requests without a response.
struct Failing {
    origin: String,
    /// True if the last request has failed.
    is_silent: bool,
    /// The number of failures since `since` that followed an answer.
    failures: u32,
    since: Millis,
}

/// A response that only a server can have sent: the proof that the line works.
#[derive(Clone, Copy)]
struct ServerResponse {
    /// The start of the request.
    began: Millis,
    arrived: Millis,
}

/// A request that has ended.
#[derive(Clone, Copy)]
pub(super) struct Exchange<'a> {
    pub(super) url: &'a str,
    pub(super) began: Millis,
    /// True if neither a cache nor a service worker can have the response.
    pub(super) is_from_server: bool,
}

impl Line {
    /// Returns the time of the last doubt.
    pub(super) const fn doubted(&self) -> Option<Millis> {
        self.doubted
    }

    /// Returns the time since which the line is quiet: the last doubt that was not a report that the device is offline.
    /// Returns `None` if there was none.
    pub(super) const fn quiet_since(&self) -> Option<Millis> {
        self.quiet_since
    }

    /// Returns true if a server has answered a request that began after the last doubt, or if there was no doubt.
    pub(super) fn is_proven(&self) -> bool {
        self.doubted <= self.from_server.map(|response| response.began)
    }

    /// Returns true if a server has answered within this time, and since the last doubt.
    pub(super) fn is_proven_within(&self, time: Millis, now: Millis) -> bool {
        let is_new = |response: ServerResponse| now.saturating_sub(response.arrived) <= time;
        self.is_proven() && self.from_server.is_some_and(is_new)
    }

    /// Returns true if a request that began after this time was answered. One that began at this time may have begun before
    /// what happened then.
    pub(super) fn has_answered_since(&self, time: Millis) -> bool {
        self.answered_since > Some(time)
    }

    /// Records the time of an input. `is_beating` is true if the vault has asked for a tick after [`HEARTBEAT`]. Returns
    /// a doubt if the device has slept since the last input.
    pub(super) fn input_arrived(&mut self, now: Instant, is_beating: bool) -> Option<Doubt> {
        let last = self.last_input.replace(now)?;
        let passed = now.monotonic.saturating_sub(last.monotonic);
        let by_wall = Millis(now.wall.saturating_sub(last.wall));
        // control: sleep_is_a_doubt
        let has_slept = by_wall.saturating_sub(passed) >= NOTICED_SLEEP
            || is_beating && passed >= MISSED_HEARTBEATS;
        has_slept.then(|| self.doubt(now.monotonic, Doubt::Slept))
    }

    /// Returns the time of the next heartbeat.
    pub(super) fn beat_due(&self) -> Option<Millis> {
        self.last_input.map(|last| last.monotonic + HEARTBEAT)
    }

    /// Records that a page has reported that the device is online or offline. Returns a doubt, unless the same was reported
    /// a short time ago, for instance by another page.
    pub(super) fn page_reported(&mut self, now: Millis, is_online: bool) -> Option<Doubt> {
        let reported = &mut self.reported[usize::from(is_online)];
        let is_repeated = |at: Millis| now.saturating_sub(at) < REPORT_INTERVAL;
        if reported.is_some_and(is_repeated) {
            return None;
        }
        *reported = Some(now);
        if !is_online {
            // The changes follow when the device is online again.
            self.doubted = Some(now);
            return Some(Doubt::Reported);
        }
        Some(self.doubt(now, Doubt::Reported))
    }

    /// Records that a response with any status has arrived.
    pub(super) fn answered(&mut self, now: Millis, exchange: Exchange<'_>) {
        let Exchange {
            url,
            began,
            is_from_server,
        } = exchange;
        if let Some(known) = self.failing_of(url) {
            known.is_silent = false;
        }
        self.answered_since = self.answered_since.max(Some(began));
        let is_latest = |known: ServerResponse| known.began <= began;
        if is_from_server && self.from_server.is_none_or(is_latest) {
            let arrived = now;
            self.from_server = Some(ServerResponse { began, arrived });
        }
    }

    fn failing_of(&mut self, url: &str) -> Option<&mut Failing> {
        let origin = url::origin(url);
        self.failing.iter_mut().find(|known| known.origin == origin)
    }

    /// Records that a request has ended without a response. Returns a doubt, unless something else explains the failure: a
    /// later request was answered, this origin has not answered since its last failure, or it fails often. So an API that
    /// is down, or that blocks or hides some responses, cannot hold up refreshes.
    pub(super) fn failed(&mut self, now: Millis, exchange: Exchange<'_>) -> Option<Doubt> {
        if self.failing_of(exchange.url).is_none() {
            self.failing.push(Failing {
                origin: url::origin(exchange.url).to_owned(),
                is_silent: false,
                failures: 0,
                since: now,
            });
        }
        let known = self.failing_of(exchange.url)?;
        if now.saturating_sub(known.since) >= FAILURE_WINDOW {
            (known.failures, known.since) = (0, now);
        }
        // control: silent_origin_is_one_doubt
        if known.is_silent {
            return None;
        }
        known.is_silent = true;
        known.failures += 1;
        if known.failures > MAX_FAILURES {
            return None;
        }
        (self.answered_since <= Some(exchange.began)).then(|| self.doubt(now, Doubt::Failed))
    }

    const fn doubt(&mut self, now: Millis, doubt: Doubt) -> Doubt {
        self.doubted = Some(now);
        self.quiet_since = Some(now);
        doubt
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

    fn exchange(url: &str, began: u64) -> Exchange<'_> {
        Exchange {
            url,
            began: Millis::from_secs(began),
            is_from_server: true,
        }
    }

    const API: &str = "https://api.example.com/items?page=2";
    const PROVIDER: &str = "https://id.example.com/token";

    #[test]
    fn a_jump_of_the_wall_clock_is_a_doubt() {
        let mut line = Line::default();
        assert_eq!(line.input_arrived(at(10), false), None);
        let mut later = at(11);
        later.wall += 1999;
        assert_eq!(line.input_arrived(later, false), None);
        let mut awake = later;
        awake.wall += 2000;
        assert_eq!(line.input_arrived(awake, false), Some(Doubt::Slept));
        assert_eq!(line.doubted(), Some(Millis::from_secs(11)));
    }

    #[test]
    fn missed_heartbeats_are_a_doubt() {
        let mut line = Line::default();
        line.input_arrived(at(0), false);
        assert_eq!(line.input_arrived(at(179), true), None);
        assert_eq!(line.input_arrived(at(400), false), None);
        assert_eq!(line.input_arrived(at(580), true), Some(Doubt::Slept));
    }

    #[test]
    fn reports_count_once_in_ten_seconds() {
        let mut line = Line::default();
        let mut report =
            |seconds, is_online| line.page_reported(Millis::from_secs(seconds), is_online);
        assert_eq!(report(0, false), Some(Doubt::Reported));
        assert_eq!(report(5, true), Some(Doubt::Reported));
        assert_eq!(report(9, false), None);
        assert_eq!(report(10, false), Some(Doubt::Reported));
        assert_eq!(report(10, true), None);
    }

    #[test]
    fn only_a_request_after_the_doubt_proves_the_line() {
        let mut line = Line::default();
        assert!(line.is_proven());
        line.page_reported(Millis::from_secs(5), true);
        assert!(!line.is_proven());
        line.answered(Millis::from_secs(6), exchange(PROVIDER, 4));
        assert!(!line.is_proven());
        let mut of_a_cache = exchange(API, 6);
        of_a_cache.is_from_server = false;
        line.answered(Millis::from_secs(7), of_a_cache);
        assert!(!line.is_proven());
        line.answered(Millis::from_secs(7), exchange(PROVIDER, 6));
        assert!(line.is_proven());
        assert!(line.is_proven_within(Millis::from_secs(2), Millis::from_secs(9)));
        assert!(!line.is_proven_within(Millis::from_secs(2), Millis::from_secs(10)));
    }

    #[test]
    fn a_request_of_the_same_moment_is_not_later() {
        let mut line = Line::default();
        let failed = Millis::from_secs(5);
        line.answered(failed, exchange(API, 5));
        assert!(!line.has_answered_since(failed));
        line.answered(Millis::from_secs(6), exchange(API, 6));
        assert!(line.has_answered_since(failed));
    }

    #[test]
    fn a_silent_origin_is_one_doubt_until_it_answers() {
        let mut line = Line::default();
        let fail = |line: &mut Line, url, seconds| {
            line.failed(Millis::from_secs(seconds), exchange(url, seconds))
                .is_some()
        };
        assert!(fail(&mut line, API, 1));
        assert!(!fail(&mut line, API, 2));
        assert!(fail(&mut line, PROVIDER, 3));
        line.answered(Millis::from_secs(4), exchange(API, 4));
        assert!(fail(&mut line, API, 5));
    }

    #[test]
    fn an_origin_that_fails_often_is_three_doubts_in_ten_minutes() {
        let mut line = Line::default();
        let mut fail = |seconds| {
            line.answered(Millis::from_secs(seconds), exchange(API, seconds));
            let next = seconds + 1;
            line.failed(Millis::from_secs(next), exchange(API, next))
                .is_some()
        };
        let doubts = [0, 10, 20, 30, 599, 610].map(&mut fail);
        assert_eq!(doubts, [true, true, true, false, false, true]);
    }

    #[test]
    fn a_failure_is_no_doubt_if_a_later_request_was_answered() {
        let mut line = Line::default();
        line.answered(Millis::from_secs(3), exchange(PROVIDER, 2));
        let failed = line.failed(Millis::from_secs(4), exchange(API, 1));
        assert_eq!(failed, None);
        assert_eq!(line.doubted(), None);
    }
}
