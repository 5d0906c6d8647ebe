//! What isolates agree on about a session: which generation counts, who refreshes, and whether it is over.
//!
//! A refresh goes through the record in three steps, each one write that succeeds for one isolate only: the intent
//! (who is about to send the refresh token, and until when nobody else does), the exchange with the provider, the
//! commit (the next generation, with its tokens, for those who come with the cookie of the one before).
//!
//! A cookie is good until one of a later generation has been presented, and for a grace period after that: an answer
//! with a new cookie may be lost on its way, more than once, and requests overtake each other. Whoever comes with it
//! later has a copy that the browser has replaced, and that ends the session (RFC 9700 4.14.2 of refresh tokens).
//!
//! A session that was never refreshed and never ended has no record.

use crate::prelude::*;
use alloc::rc::Rc;

use crate::Secret;
use crate::base::clock::{Instant, Millis, UnixMillis};
use crate::base::strings;
use crate::codec::json;
use crate::edge::session::Session;
use crate::session::EndReason;

const VERSION: &str = "1";

/// For how much longer than the grace period it is remembered which cookies were presented: as long as a request that
/// came with one of them may be under way.
const REMEMBERED: Millis = Millis::from_secs(120);

/// Most of them that are remembered.
const MOST_PRESENTED: usize = 8;

/// What a session's record says.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// The generation that counts.
    pub generation: u64,
    /// When it began to.
    pub committed: UnixMillis,
    /// Of which generations cookies have been presented: the latest one, and those before it that still matter, in
    /// order.
    pub presented: Vec<Presented>,
    /// Who refreshes.
    pub intent: Option<Intent>,
    /// Why the session is over, if it is.
    pub ended: Option<EndReason>,
    /// The session in that generation.
    pub session: Option<Rc<Session>>,
}

/// That a cookie of a generation has been presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presented {
    /// Which generation.
    pub generation: u64,
    /// When it first was.
    pub at: UnixMillis,
}

/// That an isolate is about to refresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// Which: a random text.
    pub holder: String,
    /// Until when nobody else does.
    pub until: UnixMillis,
}

/// What the record means for a session that is presented.
#[derive(Debug)]
pub enum GenerationStatus<'a> {
    /// It counts.
    Current,
    /// Its successor counts, and it gets that.
    Succeeded(&'a Rc<Session>),
    /// It was replaced, and whoever presents it should know.
    Replayed,
    /// It is over.
    Ended(EndReason),
    /// It is newer than the record: the isolate that refreshed it could not commit.
    Ahead,
}

impl Record {
    /// The record of a generation that begins to count.
    #[must_use]
    pub fn of(session: &Rc<Session>, committed: UnixMillis) -> Self {
        Self {
            generation: session.generation,
            committed,
            session: Some(session.clone()),
            ..Self::default()
        }
    }

    /// The record in which this session comes next.
    #[must_use]
    pub fn followed_by(&self, successor: &Rc<Session>, committed: UnixMillis) -> Self {
        Self {
            presented: self.presented.clone(),
            ..Self::of(successor, committed)
        }
    }

    /// The record with a note that a cookie of this generation was presented; `None` if that makes no difference.
    #[must_use]
    pub fn with_presented(&self, generation: u64, grace: Millis, at: UnixMillis) -> Option<Self> {
        let is_known = self
            .presented
            .last()
            .is_some_and(|last| last.generation >= generation);
        // Nothing comes before the first.
        if is_known || generation == 0 {
            return None;
        }
        let mut record = self.clone();
        let oldest = at.saturating_sub((grace + REMEMBERED).0);
        let settled = record.presented.iter().rposition(|one| one.at < oldest);
        let most = (record.presented.len() + 1).saturating_sub(MOST_PRESENTED);
        record
            .presented
            .drain(..settled.unwrap_or_default().max(most));
        record.presented.push(Presented { generation, at });
        Some(record)
    }

    /// Notes when the session's user was last active. Returns false if that was known.
    pub(in crate::edge) fn note_active(self: &mut Rc<Self>, active: UnixMillis) -> bool {
        let is_new = self
            .session
            .as_ref()
            .is_some_and(|session| session.active < active);
        if is_new && let Some(session) = &mut Rc::make_mut(self).session {
            Rc::make_mut(session).active = active;
        }
        is_new
    }

    /// When a cookie of a later generation was first presented.
    fn replaced_at(&self, generation: u64) -> Option<UnixMillis> {
        let later = self
            .presented
            .iter()
            .find(|one| one.generation > generation);
        later.map(|one| one.at)
    }

    /// The record of a session that is over. Of its tokens nothing is left.
    #[must_use]
    pub fn of_ended(session: &Session, reason: EndReason, at: UnixMillis) -> Self {
        Self {
            generation: session.generation,
            committed: at,
            ended: Some(reason),
            ..Self::default()
        }
    }

    /// What it means for a session that was presented at this time.
    #[must_use]
    pub fn status(&self, presented: &Session, grace: Millis, at: &Instant) -> GenerationStatus<'_> {
        if let Some(reason) = self.ended {
            return GenerationStatus::Ended(reason);
        }
        if presented.generation > self.generation {
            return GenerationStatus::Ahead;
        }
        match &self.session {
            Some(session) if presented.generation < self.generation => {
                // control: unpresented_cookies_replace_nothing
                let replaced = self.replaced_at(presented.generation);
                let age = replaced.map(|replaced| Millis(at.wall.saturating_sub(replaced)));
                // control: grace_period
                if age.is_none_or(|age| age <= grace) {
                    GenerationStatus::Succeeded(session)
                } else {
                    GenerationStatus::Replayed
                }
            }
            _ => GenerationStatus::Current,
        }
    }

    /// Who refreshes just now, other than nobody.
    #[must_use]
    pub fn intent_at(&self, now: &Instant) -> Option<&Intent> {
        self.intent
            .as_ref()
            .filter(|intent| intent.until > now.wall)
    }

    /// The text to seal.
    #[must_use]
    pub fn to_text(&self) -> Secret {
        let mut out = VERSION.to_owned();
        let mut line = |text: &str| {
            out.push('\n');
            out.push_str(text);
        };
        let until = self.intent.as_ref().map(|intent| intent.until);
        for number in [Some(self.generation), Some(self.committed), until] {
            let mut digits = String::new();
            if let Some(number) = number {
                json::write_number(&mut digits, number);
            }
            line(&digits);
        }
        let mut presented = String::new();
        for one in &self.presented {
            if !presented.is_empty() {
                presented.push(' ');
            }
            json::write_number(&mut presented, one.generation);
            presented.push('@');
            json::write_number(&mut presented, one.at);
        }
        line(&presented);
        line(self.intent.as_ref().map_or("", |intent| &intent.holder));
        line(self.ended.map_or("", EndReason::as_str));
        if let Some(session) = &self.session {
            line(session.to_text().expose());
        }
        Secret::new(out)
    }

    /// Reads what [`Record::to_text`] wrote; `None` for anything else.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        const LINES: usize = 7;
        let mut lines = strings::split(text, b'\n');
        if lines.next()? != VERSION {
            return None;
        }
        let mut number = || match lines.next()? {
            "" => Some(None),
            digits => json::parse_u64(digits).map(Some),
        };
        let (generation, committed, until) = (number()??, number()??, number()?);
        let mut presented = Vec::new();
        for one in strings::split(lines.next()?, b' ').filter(|one| !one.is_empty()) {
            let (generation, at) = strings::split_once(one, b'@');
            presented.push(Presented {
                generation: json::parse_u64(generation)?,
                at: json::parse_u64(at?)?,
            });
        }
        let holder = lines.next()?.to_owned();
        let ended = match lines.next()? {
            "" => None,
            name => Some(EndReason::from_name(name)?),
        };
        let mut start = 0;
        for _ in 0..LINES {
            let rest = text.get(start..)?;
            start += strings::split_once(rest, b'\n').0.len() + 1;
        }
        let session = match text.get(start..) {
            None => None,
            Some(session) => Some(Rc::new(Session::from_text(session)?)),
        };
        Some(Self {
            generation,
            committed,
            presented,
            intent: until.map(|until| Intent { holder, until }),
            ended,
            session,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Millis = Millis::from_secs(60);

    fn session(generation: u64) -> Rc<Session> {
        let mut session = Session::unknown("sid", 0);
        session.generation = generation;
        Rc::new(session)
    }

    /// A record of this generation, and the generations of which cookies were presented, each with its time.
    fn record(generation: u64, presented: &[(u64, UnixMillis)]) -> Record {
        let presented = presented.iter();
        Record {
            presented: presented
                .map(|&(generation, at)| Presented { generation, at })
                .collect(),
            ..Record::of(&session(generation), 0)
        }
    }

    fn at(wall: UnixMillis) -> Instant {
        Instant {
            wall,
            ..Instant::default()
        }
    }

    /// The generations that are remembered after this one was presented at this time.
    fn remembered(record: &Record, generation: u64, at: UnixMillis) -> Vec<u64> {
        let noted = record.with_presented(generation, GRACE, at).unwrap();
        noted.presented.iter().map(|one| one.generation).collect()
    }

    #[test]
    fn record_is_of_its_sessions_generation() {
        let kept = Record::of(&session(2), 5);
        assert_eq!((kept.generation, kept.committed), (2, 5));
        assert!(kept.session.is_some());
        let ended = Record::of_ended(&session(2), EndReason::LoggedOut, 5);
        assert_eq!((ended.generation, ended.committed), (2, 5));
        assert!(ended.session.is_none());
    }

    #[test]
    fn successor_keeps_the_presented_generations() {
        let next = record(1, &[(1, 10)]).followed_by(&session(2), 20);
        assert_eq!((next.generation, next.committed), (2, 20));
        assert_eq!(next.presented, record(1, &[(1, 10)]).presented);
    }

    #[test]
    fn only_newer_generations_are_noted() {
        let record = record(3, &[(2, 10)]);
        for generation in [0, 1, 2] {
            assert!(record.with_presented(generation, GRACE, 20).is_none());
        }
        assert_eq!(remembered(&record, 3, 20), [2, 3]);
    }

    #[test]
    fn settled_generations_are_forgotten_but_for_the_latest() {
        let record = record(4, &[(1, 0), (2, 1000), (3, 2000)]);
        assert_eq!(remembered(&record, 4, 181_000), [1, 2, 3, 4]);
        assert_eq!(remembered(&record, 4, 181_001), [2, 3, 4]);
        assert_eq!(remembered(&record, 4, 182_001), [3, 4]);
    }

    #[test]
    fn eight_generations_are_remembered_at_most() {
        let presented: Vec<_> = (1..=8).map(|generation| (generation, 0)).collect();
        let record = record(9, &presented);
        assert_eq!(remembered(&record, 9, 1), [2, 3, 4, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn cookie_is_replayed_after_the_grace_period() {
        let replaced = record(3, &[(1, 0), (2, 10_000)]);
        let is_replayed = |generation, wall| {
            let status = replaced.status(&session(generation), GRACE, &at(wall));
            matches!(status, GenerationStatus::Replayed)
        };
        assert!(!is_replayed(1, 70_000));
        assert!(is_replayed(1, 70_001));
        // No cookie after these was presented.
        assert!(!is_replayed(2, 1_000_000));
        assert!(!is_replayed(3, 1_000_000));
    }

    #[test]
    fn only_later_activity_is_noted() {
        let mut record = Rc::new(record(1, &[]));
        assert!(!record.note_active(0));
        assert!(record.note_active(1));
        assert!(!record.note_active(1));
        assert_eq!(record.session.as_ref().unwrap().active, 1);
    }

    #[test]
    fn intent_counts_until_its_time() {
        let intent = Intent {
            holder: "one".to_owned(),
            until: 10,
        };
        let record = Record {
            intent: Some(intent.clone()),
            ..Record::default()
        };
        assert_eq!(record.intent_at(&at(9)), Some(&intent));
        assert_eq!(record.intent_at(&at(10)), None);
    }
}
