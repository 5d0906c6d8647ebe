//! The record of a session, which isolates share through the coordinator. It contains the session's current generation,
//! the intent of the flight that refreshes the session, and the reason if the session has ended.
//!
//! If several isolates replace the same version of the record, only one write succeeds. A refresh has three steps.
//! First a flight writes its intent: while other isolates see this intent, only this flight sends the refresh token. Then
//! the flight exchanges the token with the provider. Finally it commits: it writes the next generation with its tokens,
//! for requests that still have the previous cookie.
//!
//! An isolate may know more than the store: it could not write, or the store has lost its last writes. [`merge`] decides
//! what counts of the two.
//!
//! A cookie is valid until a cookie of a later generation is presented, and for a grace period afterwards: responses
//! with a new cookie may be lost, more than once, and requests overtake each other. After the grace period, the browser
//! has replaced the old cookie. A request with the old cookie then comes from a copy, so the session ends. RFC 9700
//! 4.14.2 has the same rule for refresh tokens.
//!
//! A session that is sealed in a cookie has no record before its first refresh or its end.

pub mod merge;

use alloc::rc::Rc;
use rules::prelude::*;

use crate::lines::{LineReader, LineWriter};
use crate::session::Session;
use crate::session::binding::Binding;
use rules::Secret;
use rules::base::clock::{Instant, Mark, Millis, UnixMillis};
use rules::base::strings;
use rules::codec::json;
use rules::oauth::token_endpoint::{DEFAULT_LIFETIME, MAX_LIFETIME};
use rules::session::EndReason;

/// The version of a record's text.
const VERSION: &str = "1";

/// A record keeps a presented generation for the grace period plus this time, because a request with an earlier cookie
/// may be in flight.
const REMEMBERED: Millis = Millis::from_secs(120);

/// Largest number of presented generations that a record keeps: enough for an hour of tokens that live for half a minute.
const MOST_PRESENTED: usize = 128;

/// The life of an intent that is not renewed. Another flight takes over after it has seen the same intent for this long.
pub(crate) const LEASE: Millis = Millis::from_secs(8);

/// An intent that is older than this is taken over at once, because clocks differ by less.
const ABANDONED: Millis = Millis::from_secs(2 * 3600);

/// A session's record.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// The current generation.
    pub generation: u64,
    /// The time at which the current generation was committed, or at which the session ended.
    pub committed_at: UnixMillis,
    /// The generations whose cookies were presented, in ascending order: the latest one, and earlier ones that are
    /// needed to check the grace period.
    pub presented: Vec<Presented>,
    /// The intent of the flight that refreshes the session, if any.
    pub intent: Option<Intent>,
    /// The reason for the end, if the session has ended.
    pub ended: Option<EndReason>,
    /// The session in its current generation, with its tokens.
    pub session: Option<Rc<Session>>,
    /// The key of the browser to which the session is bound.
    pub bound: Option<Binding>,
    /// The access token that the current one replaced, behind the time of its expiry and a space.
    pub(crate) previous: Option<Secret>,
}

/// A generation with a presented cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presented {
    /// The generation.
    pub generation: u64,
    /// The time at which a cookie of this generation was first presented.
    pub at: UnixMillis,
}

/// The intent of a flight to refresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// The name of the flight, which is random, or empty if the intent was withdrawn.
    pub holder: String,
    /// The number of the intent in this generation of the session. Each renewal and each withdrawal has the next number,
    /// so numbers tell which of two intents is the later one. No clock does.
    pub number: u64,
    /// The time at which the intent was written.
    pub written_at: UnixMillis,
}

impl Intent {
    /// Returns true unless the intent was withdrawn, or is so old that it was abandoned.
    #[must_use]
    pub fn is_held(&self, now: &Instant) -> bool {
        let age = Millis(now.wall.saturating_sub(self.written_at));
        !self.holder.is_empty() && age <= ABANDONED
    }

    /// Returns the line of a record: the number and the time, and the holder behind a space.
    fn to_text(&self) -> String {
        let mut text = String::new();
        write_pair(&mut text, self.number, self.written_at);
        text.extend([" ", &self.holder]);
        text
    }

    /// Reads the output of [`Intent::to_text`].
    fn from_text(text: &str) -> Option<Self> {
        let (pair, holder) = strings::split_once(text, b' ');
        let (number, written_at) = read_pair(pair)?;
        Some(Self {
            holder: holder?.to_owned(),
            number,
            written_at,
        })
    }
}

/// A written intent: the lease of the task that refreshes. It contains the session with its tokens.
pub(crate) struct Lease {
    pub(crate) session: Rc<Session>,
    /// The version of the record that contains the intent, or `None` if the record has vanished.
    pub(crate) version: Option<String>,
    /// The record that contains the intent.
    pub(crate) record: Rc<Record>,
    /// The time before the intent was written. Other flights first saw the intent later.
    pub(crate) since: Mark,
}

/// The coordinator's entry for a session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stored {
    /// The version that the next write replaces, or `None` without an entry.
    pub(crate) version: Option<String>,
    /// The record, if there is one and it can be read.
    pub(crate) record: Option<Rc<Record>>,
}

/// The status of a presented session according to its record.
#[derive(Debug)]
pub enum GenerationStatus<'a> {
    /// The cookie's generation is the current one.
    Current,
    /// The cookie's generation has been replaced. The field is the session in its current generation.
    Succeeded(&'a Rc<Session>),
    /// The cookie's generation was replaced longer ago than the grace period, so the cookie is a copy.
    Replayed,
    /// The session has ended.
    Ended(EndReason),
    /// The cookie is newer than the record: the isolate that refreshed the session could not commit.
    Ahead,
}

impl Record {
    /// Creates a record with `session` as the current generation.
    #[must_use]
    pub fn of(session: &Rc<Session>, committed_at: UnixMillis) -> Self {
        Self {
            generation: session.generation,
            committed_at,
            session: Some(session.clone()),
            bound: session.bound.clone(),
            ..Self::default()
        }
    }

    /// Returns this record with `successor` as the current generation, and without an intent. The replaced access token
    /// becomes the previous one.
    #[must_use]
    #[inline(never)]
    pub fn followed_by(&self, successor: &Rc<Session>, committed_at: UnixMillis) -> Self {
        // The cookie of a session does not have a binding that has just been made.
        // control: successor_stays_bound
        let bound = self.bound.as_ref().or(successor.bound.as_ref());
        let successor = &match bound {
            Some(bound) => successor.clone().with_binding(bound),
            None => successor.clone(),
        };
        let replaced = self.session.as_ref().filter(|session| {
            // A provider may return the same token again.
            !session
                .access_token
                .matches(successor.access_token.expose())
        });
        Self {
            presented: self.presented.clone(),
            previous: match replaced {
                Some(session) => Some(as_previous(session)),
                None => self.previous.clone(),
            },
            ..Self::of(successor, committed_at)
        }
    }

    /// Returns the record after a cookie of `generation` was presented, or `None` if the record does not change. `grace` is the
    /// longest time after which a copy of an earlier cookie must be found.
    #[must_use]
    pub fn with_presented(&self, generation: u64, grace: Millis, at: UnixMillis) -> Option<Self> {
        let is_known = self
            .presented
            .last()
            .is_some_and(|last| last.generation >= generation);
        // The first generation is not recorded, because its cookie replaces no earlier cookie.
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

    /// Returns the number for the next intent.
    pub(crate) fn next_number(&self) -> u64 {
        self.intent
            .as_ref()
            .map_or(0, |intent| intent.number.saturating_add(1))
    }

    /// Records the time of the user's last activity. Returns false if the record already has this time or a later one.
    pub(crate) fn note_active(self: &mut Rc<Self>, active: UnixMillis) -> bool {
        let is_new = self
            .session
            .as_ref()
            .is_some_and(|session| session.active < active);
        if is_new && let Some(session) = &mut Rc::make_mut(self).session {
            Rc::make_mut(session).active = active;
        }
        is_new
    }

    /// Returns the first generation after this one whose cookie was presented, if there is one.
    #[must_use]
    pub fn replaced_by(&self, generation: u64) -> Option<Presented> {
        let mut presented = self.presented.iter().copied();
        presented.find(|one| one.generation > generation)
    }

    /// Creates the record of an ended session, without its tokens.
    #[must_use]
    pub fn of_ended(session: &Session, reason: EndReason, at: UnixMillis) -> Self {
        Self {
            generation: session.generation,
            committed_at: at,
            ended: Some(reason),
            bound: session.bound.clone(),
            ..Self::default()
        }
    }

    /// Returns true if this and `other` are the same end of a session.
    pub(crate) fn is_same_end(&self, other: &Self) -> bool {
        (self.ended, self.committed_at) == (other.ended, other.committed_at)
    }

    /// Returns the record after the session was bound to a key of the browser.
    #[must_use]
    pub fn with_binding(&self, bound: Binding) -> Self {
        let session = self.session.clone();
        Self {
            session: session.map(|session| session.with_binding(&bound)),
            bound: Some(bound),
            ..self.clone()
        }
    }

    /// Creates the record of a bound session whose tokens are in its cookie.
    #[must_use]
    pub(crate) fn of_bound(bound: Binding, committed_at: UnixMillis) -> Self {
        Self {
            committed_at,
            bound: Some(bound),
            ..Self::default()
        }
    }

    /// Returns true if the session continues, and its tokens are in its cookie alone.
    pub(crate) fn has_no_session(&self) -> bool {
        self.session.is_none() && self.ended.is_none()
    }

    /// Returns the status of a presented session. `is_copy` is true if its cookie was replaced longer ago than the grace
    /// period.
    #[must_use]
    pub fn status(&self, presented: &Session, is_copy: bool) -> GenerationStatus<'_> {
        if let Some(reason) = self.ended {
            return GenerationStatus::Ended(reason);
        }
        if presented.generation > self.generation {
            return GenerationStatus::Ahead;
        }
        match &self.session {
            Some(_) if presented.generation < self.generation && is_copy => {
                GenerationStatus::Replayed
            }
            Some(session) if presented.generation < self.generation => {
                GenerationStatus::Succeeded(session)
            }
            _ => GenerationStatus::Current,
        }
    }

    /// Returns the previous access token, unless it has expired.
    fn previous_at(&self, now: &Instant) -> Option<&str> {
        let (until, token) = strings::split_once(self.previous.as_ref()?.expose(), b' ');
        token.filter(|_| json::parse_u64(until).is_some_and(|until| until > now.wall))
    }

    /// Returns the access tokens besides that of `session` that may still be valid: one per line, with empty lines.
    pub(crate) fn other_tokens(&self, session: &Session, now: &Instant) -> Secret {
        // `session` may be older or newer than the record.
        let current = match &self.session {
            Some(current) if current.generation != session.generation => {
                current.access_token.expose()
            }
            _ => "",
        };
        let previous = self.previous_at(now).unwrap_or_default();
        Secret::new([previous, "\n", current].concat())
    }

    /// Returns the text that is sealed for the coordinator. The session's own text is the last member.
    #[must_use]
    pub fn to_text(&self) -> Secret {
        self.text(self.previous.as_ref())
    }

    /// Returns the text as [`Record::to_text`] does, without an expired previous token.
    pub(crate) fn text_at(&self, now: &Instant) -> Secret {
        let is_valid = self.previous_at(now).is_some();
        self.text(self.previous.as_ref().filter(|_| is_valid))
    }

    /// Returns the text as [`Record::to_text`] does, but with this previous token.
    #[inline(never)]
    pub(crate) fn text(&self, previous: Option<&Secret>) -> Secret {
        let intent = self.intent.as_ref().map(Intent::to_text);
        let bound = self.bound.as_ref().map(Binding::to_text);
        let mut presented = String::new();
        for one in &self.presented {
            if !presented.is_empty() {
                presented.push(' ');
            }
            write_pair(&mut presented, one.generation, one.at);
        }
        let mut lines = LineWriter::new(VERSION);
        lines
            .number(self.generation)
            .number(self.committed_at)
            .text(&intent.unwrap_or_default())
            .text(&presented)
            .optional_secret(previous)
            .text(self.ended.map_or("", EndReason::as_str))
            .text(&bound.unwrap_or_default());
        if let Some(session) = &self.session {
            lines.text(session.to_text().expose());
        }
        Secret::new(lines.finish())
    }

    /// Reads the output of [`Record::to_text`]. Returns `None` for any other input, also if only the session in it is of
    /// another version.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let mut lines = LineReader::new(text, VERSION)?;
        let (generation, committed_at) = (lines.number()?, lines.number()?);
        let intent = match lines.text()? {
            "" => None,
            text => Some(Intent::from_text(text)?),
        };
        let mut presented = Vec::new();
        for one in strings::split(lines.text()?, b' ').filter(|one| !one.is_empty()) {
            let (generation, at) = read_pair(one)?;
            presented.push(Presented { generation, at });
        }
        let previous = lines.optional_secret()?;
        let ended = match lines.text()? {
            "" => None,
            name => Some(EndReason::from_name(name)?),
        };
        let bound = Binding::from_optional_text(lines.text()?)?;
        let session = match lines.rest() {
            None => None,
            Some(text) => Some(Rc::new(Session::from_text(text)?)),
        };
        Some(Self {
            generation,
            committed_at,
            presented,
            intent,
            ended,
            session,
            bound,
            previous,
        })
    }
}

/// Writes two numbers with `@` between them.
fn write_pair(out: &mut String, first: u64, second: u64) {
    json::write_number(out, first);
    out.push('@');
    json::write_number(out, second);
}

/// Reads the output of [`write_pair`].
fn read_pair(pair: &str) -> Option<(u64, u64)> {
    let (first, second) = strings::split_once(pair, b'@');
    Some((json::parse_u64(first)?, json::parse_u64(second?)?))
}

/// Returns the access token of a replaced session with the time of its expiry.
fn as_previous(session: &Session) -> Secret {
    // A token with an unknown lifetime is kept until the next token is replaced. The lifetime is zero if an API has
    // refused the token: another API may still accept it.
    let lifetime = match session.lifetime {
        Millis::ZERO | DEFAULT_LIFETIME => MAX_LIFETIME,
        known => known,
    };
    let mut out = String::new();
    json::write_number(&mut out, session.requested.saturating_add(lifetime.0));
    out.push(' ');
    out.push_str(session.access_token.expose());
    Secret::new(out)
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

    /// Creates a record of this generation with these presented generations and their times.
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

    /// Returns the generations that the record keeps after `generation` was presented.
    fn remembered(record: &Record, generation: u64, at: UnixMillis) -> Vec<u64> {
        let noted = record.with_presented(generation, GRACE, at).unwrap();
        noted.presented.iter().map(|one| one.generation).collect()
    }

    #[test]
    fn record_has_generation_of_its_session() {
        let kept = Record::of(&session(2), 5);
        assert_eq!((kept.generation, kept.committed_at), (2, 5));
        assert!(kept.session.is_some());
        let ended = Record::of_ended(&session(2), EndReason::LoggedOut, 5);
        assert_eq!((ended.generation, ended.committed_at), (2, 5));
        assert!(ended.session.is_none());
    }

    #[test]
    fn successor_keeps_the_presented_generations() {
        let next = record(1, &[(1, 10)]).followed_by(&session(2), 20);
        assert_eq!((next.generation, next.committed_at), (2, 20));
        assert_eq!(next.presented, record(1, &[(1, 10)]).presented);
    }

    #[test]
    fn only_newer_presented_generations_are_recorded() {
        let record = record(3, &[(2, 10)]);
        for generation in [0, 1, 2] {
            assert!(record.with_presented(generation, GRACE, 20).is_none());
        }
        assert_eq!(remembered(&record, 3, 20), [2, 3]);
    }

    #[test]
    fn old_presented_generations_are_forgotten_except_latest() {
        let record = record(4, &[(1, 0), (2, 1000), (3, 2000)]);
        assert_eq!(remembered(&record, 4, 181_000), [1, 2, 3, 4]);
        assert_eq!(remembered(&record, 4, 181_001), [2, 3, 4]);
        assert_eq!(remembered(&record, 4, 182_001), [3, 4]);
    }

    #[test]
    fn number_of_presented_generations_is_limited() {
        let presented: Vec<_> = (1..=128).map(|generation| (generation, 0)).collect();
        let record = record(129, &presented);
        assert_eq!(remembered(&record, 129, 1), (2..=129).collect::<Vec<_>>());
    }

    #[test]
    fn only_a_later_presented_cookie_replaces_one() {
        let replaced = record(3, &[(1, 0), (2, 10_000)]);
        let by = |generation| replaced.replaced_by(generation).map(|one| one.generation);
        assert_eq!((by(0), by(1)), (Some(1), Some(2)));
        // No cookie of a generation later than 2 was presented.
        assert_eq!((by(2), by(3)), (None, None));
    }

    #[test]
    fn only_a_copy_of_an_earlier_cookie_is_replayed() {
        let record = record(3, &[]);
        let is_replayed = |generation, is_copy| {
            let status = record.status(&session(generation), is_copy);
            matches!(status, GenerationStatus::Replayed)
        };
        assert!(is_replayed(2, true));
        assert!(!is_replayed(2, false));
        assert!(!is_replayed(3, true));
    }

    #[test]
    fn only_later_activity_is_recorded() {
        let mut record = Rc::new(record(1, &[]));
        assert!(!record.note_active(0));
        assert!(record.note_active(1));
        assert!(!record.note_active(1));
        assert_eq!(record.session.as_ref().unwrap().active, 1);
    }

    fn with_token(generation: u64, token: &str) -> Rc<Session> {
        let mut session = session(generation);
        Rc::make_mut(&mut session).access_token = token.into();
        Rc::make_mut(&mut session).lifetime = Millis(600);
        session
    }

    /// Creates a record whose previous token is `first` and expires at the time 600.
    fn with_previous(intent: Option<Intent>) -> Record {
        let mut record = Record::of(&with_token(0, "first"), 0);
        record = record.followed_by(&with_token(1, "second"), 10);
        Record { intent, ..record }
    }

    fn other_tokens(record: &Record, session: &Session, wall: UnixMillis) -> String {
        let others = record.other_tokens(session, &at(wall));
        others.expose().to_owned()
    }

    #[test]
    fn previous_token_is_kept_until_it_expires() {
        let record = with_previous(None);
        assert_eq!(other_tokens(&record, &session(1), 599), "first\n");
        assert_eq!(other_tokens(&record, &session(1), 600), "\n");
    }

    #[test]
    fn only_the_last_previous_token_is_kept() {
        let record = with_previous(None).followed_by(&with_token(2, "third"), 20);
        assert_eq!(other_tokens(&record, &session(2), 30), "second\n");
    }

    #[test]
    fn returned_token_does_not_replace_previous_one() {
        let record = with_previous(None).followed_by(&with_token(2, "second"), 20);
        assert_eq!(other_tokens(&record, &session(2), 30), "first\n");
    }

    #[test]
    fn sessions_of_other_generations_see_the_current_token() {
        let record = with_previous(None);
        assert_eq!(other_tokens(&record, &session(0), 30), "first\nsecond");
        assert_eq!(other_tokens(&record, &session(2), 30), "first\nsecond");
    }

    #[test]
    fn token_of_unknown_lifetime_stays_until_next_refresh() {
        for lifetime in [Millis::ZERO, DEFAULT_LIFETIME] {
            let mut first = with_token(0, "first");
            Rc::make_mut(&mut first).lifetime = lifetime;
            let record = Record::of(&first, 0).followed_by(&with_token(1, "second"), 10);
            let later = MAX_LIFETIME.0 - 1;
            assert_eq!(other_tokens(&record, &session(1), later), "first\n");
        }
    }

    #[test]
    fn ended_record_has_no_token() {
        let over = Record::of_ended(&session(1), EndReason::LoggedOut, 5);
        assert!(over.previous.is_none());
    }

    fn some_intents() -> [Option<Intent>; 3] {
        let intent = |holder: &str| Intent {
            holder: holder.to_owned(),
            number: 3,
            written_at: 20,
        };
        [None, Some(intent("one")), Some(intent(""))]
    }

    #[test]
    fn text_contains_the_previous_token() {
        for intent in some_intents() {
            let text = with_previous(intent.clone()).to_text();
            let read = Record::from_text(text.expose()).unwrap();
            assert_eq!(read.intent, intent);
            assert_eq!(other_tokens(&read, &session(1), 30), "first\n");
            assert_eq!(read.to_text().expose(), text.expose());
        }
    }

    #[test]
    fn record_or_session_of_another_version_is_not_read() {
        let text = with_previous(None).to_text();
        let session = with_token(1, "second").to_text();
        let session = session.expose();
        for other in [
            text.expose().replacen('1', "2", 1),
            text.expose()
                .replace(session, &session.replacen('1', "2", 1)),
        ] {
            assert_ne!(other, text.expose());
            assert!(Record::from_text(&other).is_none());
        }
    }

    #[test]
    fn intent_is_held_until_withdrawn_or_abandoned() {
        let intent = |holder: &str| Intent {
            holder: holder.to_owned(),
            number: 0,
            written_at: 10,
        };
        let abandoned = 10 + 2 * 3_600_000;
        assert!(intent("one").is_held(&at(0)), "a clock may be behind");
        assert!(intent("one").is_held(&at(abandoned)));
        assert!(!intent("one").is_held(&at(abandoned + 1)));
        assert!(!intent("").is_held(&at(10)));
    }
}
