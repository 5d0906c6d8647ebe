//! The value that ends the sessions of a user, or of one session of the provider, without naming them. It has the times of
//! all back-channel logouts, and the latest order of the app's server. An isolate checks the ends of a session whenever it
//! reads the session's record.
//!
//! The times and the order's identifier are in clear. So an isolate without the order's key can still add a logout, and give a
//! login the identifier. The content of the order is sealed, with the order's clear part as additional data.
//!
//! A logout ends the sessions that began before it, by the provider's clock. An order ends the sessions that lack its
//! identifier, except those that it spares: a login stores the identifiers of the latest orders in the session's ID. Only an
//! isolate that cannot open the order goes by its times.

use rules::prelude::*;

use crate::lines::{LineReader, LineWriter};
use crate::session::Session;
use crate::store::coordinator;
use crate::task::Task;
use rules::base::clock::{Millis, UnixMillis};
use rules::base::strings;
use rules::codec::base64url;
use rules::codec::json;
use rules::oauth::identity::Identity;
use rules::oauth::jwt;

/// The version of an end.
const VERSION: &str = "1";

/// Length of an order's identifier in bytes.
pub(crate) const IDENTIFIER: usize = 9;

/// The times of a logout or an order, which identify the sessions that began before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    /// The time at which the handler received the logout token or the order, by its own clock or the coordinator's.
    pub(crate) received: UnixMillis,
    /// The time in seconds: for a logout, the token's `iat`; for an order, `received`, because no provider takes part.
    pub(crate) issued: u64,
}

impl Times {
    fn to_text(self) -> String {
        let mut text = json::digits(self.received);
        text.push(' ');
        json::write_number(&mut text, self.issued);
        text
    }

    fn from_text(text: &str) -> Option<Self> {
        let (received, issued) = strings::split_once(text, b' ');
        Some(Self {
            received: json::parse_u64(received)?,
            issued: json::parse_u64(issued?)?,
        })
    }

    /// Returns the later of the two values for each clock.
    pub(crate) fn or_later(self, other: Option<Self>) -> Self {
        other.map_or(self, |other| Self {
            received: self.received.max(other.received),
            issued: self.issued.max(other.issued),
        })
    }

    /// Returns these times, or times that are at most `tolerance` later than `limit`.
    pub(crate) fn at_most(self, limit: Self, tolerance: Millis) -> Self {
        Self {
            received: self
                .received
                .min(limit.received.saturating_add(tolerance.0)),
            issued: self
                .issued
                .min(limit.issued.saturating_add(tolerance.as_secs())),
        }
    }

    /// Returns true if a session began before these times. `issued` is the `iat` of its ID token. With an `iat`, the times of
    /// the provider's clock are compared, because the clocks of two servers may differ. Without one, the handler's are.
    pub(crate) fn ends_session(self, began: UnixMillis, issued: Option<u64>) -> bool {
        match issued {
            Some(issued) => issued <= self.issued,
            None => began <= self.received,
        }
    }
}

/// An order about all sessions of a user or of a session of the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredOrder {
    pub(crate) times: Times,
    /// The random identifier that a session must have if it began after the order.
    pub(crate) identifier: String,
    /// The sealed content: see [`order`](crate::store::order).
    pub(crate) sealed: String,
}

impl StoredOrder {
    /// Returns the clear part, which is authenticated with the sealed one.
    pub(crate) fn clear_part(times: Times, identifier: &str) -> String {
        [&*times.to_text(), "\n", identifier].concat()
    }
}

/// The stored end of a user's sessions, or of those of one session of the provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UserEnd {
    /// The latest times of all back-channel logouts.
    pub(crate) logout: Option<Times>,
    /// The latest order.
    pub(crate) order: Option<StoredOrder>,
}

impl UserEnd {
    pub(crate) fn to_text(&self) -> String {
        let mut lines = LineWriter::new(VERSION);
        let logout = self.logout.map(Times::to_text);
        lines.text(&logout.unwrap_or_default());
        if let Some(StoredOrder {
            times,
            identifier,
            sealed,
        }) = &self.order
        {
            lines.text(&times.to_text()).text(identifier).text(sealed);
        }
        lines.finish()
    }

    /// Reads the output of [`UserEnd::to_text`]. Returns `None` for any other input.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let mut lines = LineReader::new(text, VERSION)?;
        let logout = match lines.text()? {
            "" => None,
            times => Some(Times::from_text(times)?),
        };
        let order = match lines.text() {
            None => None,
            Some(times) => Some(StoredOrder {
                times: Times::from_text(times)?,
                identifier: lines.text().filter(|text| is_identifier(text))?.to_owned(),
                sealed: lines.text()?.to_owned(),
            }),
        };
        lines.finish(Self { logout, order })
    }

    /// Returns the identifier of the latest order, or an empty string without an order.
    pub(crate) fn identifier(&self) -> &str {
        self.order.as_ref().map_or("", |order| &order.identifier)
    }
}

/// Returns true for an identifier. It is not authenticated if the order cannot be opened, so it must not contain anything else.
fn is_identifier(text: &str) -> bool {
    base64url::decode(text).is_some_and(|bytes| bytes.len() == IDENTIFIER)
}

/// The sessions that an end is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// All sessions of a user.
    Subject,
    /// The sessions that began in one session of the provider, which the `sid` of their ID tokens names.
    ProviderSession,
}

impl Kind {
    /// Returns the identifier that a session's ID contains, or an empty string.
    pub(crate) fn identifier_in(self, session_id: &str) -> &str {
        let mut parts = strings::split(session_id, b'.').skip(1);
        let (subject, provider_session) = (parts.next(), parts.next());
        match self {
            Self::Subject => subject.unwrap_or_default(),
            Self::ProviderSession => provider_session.unwrap_or_default(),
        }
    }
}

/// The name of an end.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    pub(crate) kind: Kind,
    /// The user's `sub`, or the `sid` of the provider's session.
    pub(crate) text: String,
}

impl Name {
    pub(crate) fn subject(text: &str) -> Self {
        Self {
            kind: Kind::Subject,
            text: text.to_owned(),
        }
    }

    pub(crate) fn provider_session(text: &str) -> Self {
        Self {
            kind: Kind::ProviderSession,
            text: text.to_owned(),
        }
    }

    /// Returns the key under which the coordinator has the end.
    pub(crate) fn key(&self, task: &Task) -> String {
        let kind = match self.kind {
            Kind::Subject => "end subject",
            Kind::ProviderSession => "end sid",
        };
        coordinator::client_key(task, kind, &self.text)
    }
}

/// Returns the names of the ends of a session: see [`names_of`]. Returns no names if the user is unknown.
pub(crate) fn names(task: &Task, session: &Session) -> Vec<Name> {
    session
        .user()
        .map_or_else(Vec::new, |user| names_of(task, &user))
}

/// Returns the names of the ends of a user's sessions: first that of all sessions of the user, then that of this session of
/// the provider, if the ID token has a `sid`.
pub(crate) fn names_of(task: &Task, user: &Identity) -> Vec<Name> {
    let config = task.config();
    // Without OpenID Connect, the provider cannot end sessions.
    let is_by_provider = config.back_channel_logout && user.id_token().is_some();
    if !is_by_provider && !config.admin || user.subject().is_empty() {
        return Vec::new();
    }
    let mut names = vec![Name::subject(user.subject())];
    if let Some(sid) = user.claims().str("sid")
        && user.id_token().is_some()
    {
        names.push(Name::provider_session(sid));
    }
    names
}

/// Returns the `iat` of the session's ID token.
pub(crate) fn issued_at(session: &Session) -> Option<u64> {
    jwt::seconds(session.user()?.claims(), "iat")
}

/// Returns the lifetime of an end: all sessions that it ends reach their limit before.
pub(crate) fn lifetime(task: &Task) -> Millis {
    let flow = &task.config().flow;
    flow.limits.absolute + Millis(flow.clock_tolerance.0 * 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EARLY: Times = Times {
        received: 1000,
        issued: 7,
    };

    fn order() -> StoredOrder {
        StoredOrder {
            times: EARLY,
            identifier: "AAAAAAAAAAAA".to_owned(),
            sealed: "1.k.abc".to_owned(),
        }
    }

    #[test]
    fn end_is_read_as_it_was_written() {
        for (logout, order) in [
            (Some(EARLY), None),
            (None, Some(order())),
            (Some(EARLY), Some(order())),
        ] {
            let end = UserEnd { logout, order };
            assert_eq!(UserEnd::from_text(&end.to_text()), Some(end));
        }
    }

    #[test]
    fn other_values_are_not_read() {
        let text = UserEnd {
            logout: None,
            order: Some(order()),
        };
        let text = text.to_text();
        let of_other_version = text.replacen('1', "2", 1);
        let longer = [&text, "\nx"].concat();
        for other in [
            "",
            "1",
            "1\n7",
            "1\n7 x",
            "1\n\n7 7\nAAAAAAAAAAAA",
            "1\n\n7 7\n*\n1.k.abc",
            "1\n\n7 7\nAAAAAAAA =*\n1.k.abc",
            "1000 7",
            &longer,
            &of_other_version,
        ] {
            assert_eq!(UserEnd::from_text(other), None, "{other}");
        }
    }

    #[test]
    fn later_time_of_each_clock_counts() {
        let late = Times {
            received: 900,
            issued: 9,
        };
        let both = late.or_later(Some(EARLY));
        assert_eq!((both.received, both.issued), (1000, 9));
        assert_eq!(late.or_later(None), late);
    }

    #[test]
    fn far_times_are_limited() {
        let far = Times {
            received: u64::MAX,
            issued: u64::MAX,
        };
        let limited = far.at_most(EARLY, Millis::from_secs(60));
        assert_eq!((limited.received, limited.issued), (61_000, 67));
        assert_eq!(EARLY.at_most(EARLY, Millis::ZERO), EARLY);
    }

    #[test]
    fn session_id_has_the_identifiers_of_its_login() {
        for (sid, first, second) in [
            ("a", "", ""),
            ("a.b", "b", ""),
            ("a..c", "", "c"),
            ("a.b.c", "b", "c"),
        ] {
            assert_eq!(Kind::Subject.identifier_in(sid), first);
            assert_eq!(Kind::ProviderSession.identifier_in(sid), second);
        }
    }
}
