//! The value that ends the sessions of a user, or of one session of the provider, without naming them. It has the times of
//! the latest back-channel logout, and the latest order of the app's server. Isolates read the values of a session together
//! with its record.
//!
//! The times and the order's identifier are in clear, so that an isolate without the order's key can still add a logout,
//! give a login the identifier, and tell by the times which sessions have ended. What the order says is sealed, with
//! the order's clear part as additional data.
//!
//! A logout ends the sessions that began before it, by the provider's clock. Times must not end the session of a user who
//! has signed in again after an order, because the clocks of servers differ. So each order has a random identifier. A login
//! stores the identifiers of the latest orders in the session's ID, and an order ends the sessions without its identifier.

use rules::prelude::*;

use crate::lines::{Reader, Unreadable, Writer};
use crate::session::Session;
use crate::store::coordinator;
use crate::task::Task;
use rules::base::clock::{Millis, UnixMillis};
use rules::base::strings;
use rules::codec::json;
use rules::oauth::identity::Identity;
use rules::oauth::jwt;

/// The version of the value.
const VERSION: &str = "1";

/// The times of a logout or an order, which tell the sessions that began before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    /// The time by the clock of the server that received the logout token or the order.
    pub(crate) received: UnixMillis,
    /// The time by the provider's clock, in seconds: the token's `iat`.
    pub(crate) issued: u64,
}

impl Times {
    fn to_text(self) -> String {
        let mut text = String::new();
        json::write_number(&mut text, self.received);
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

    /// Returns the later one of each time.
    pub(crate) fn or_later(self, other: Option<Self>) -> Self {
        other.map_or(self, |other| Self {
            received: self.received.max(other.received),
            issued: self.issued.max(other.issued),
        })
    }

    /// Returns true if a session began before these times. `issued` is the `iat` of its ID token. The provider's clock
    /// decides if it has told the session's time, since the clocks of two servers may differ.
    pub(crate) fn end(self, began: UnixMillis, issued: Option<u64>) -> bool {
        match issued {
            Some(issued) => issued <= self.issued,
            None => began <= self.received,
        }
    }
}

/// An order about all sessions of a user or of a session of the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SealedOrder {
    pub(crate) times: Times,
    /// The random identifier that a session must have if it began after the order.
    pub(crate) identifier: String,
    /// The sealed part: see [`order`](crate::store::order).
    pub(crate) sealed: String,
}

impl SealedOrder {
    /// Returns the clear part, which is authenticated with the sealed one.
    pub(crate) fn clear_part(times: Times, identifier: &str) -> String {
        [&*times.to_text(), "\n", identifier].concat()
    }
}

/// The value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct End {
    /// The times of the back-channel logouts: the latest ones.
    pub(crate) logout: Option<Times>,
    /// The latest order.
    pub(crate) order: Option<SealedOrder>,
}

impl End {
    pub(crate) fn to_text(&self) -> String {
        let mut lines = Writer::new(VERSION);
        let logout = self.logout.map(Times::to_text);
        lines.text(&logout.unwrap_or_default());
        if let Some(order) = &self.order {
            lines
                .text(&SealedOrder::clear_part(order.times, &order.identifier))
                .text(&order.sealed);
        }
        lines.finish()
    }

    /// Reads the output of [`End::to_text`].
    pub(crate) fn from_text(text: &str) -> Result<Self, Unreadable> {
        let mut lines = Reader::new(text, VERSION)?;
        let logout = match lines.text() {
            Some("") => None,
            Some(text) => Some(Times::from_text(text).ok_or(Unreadable::NotGenuine)?),
            None => return Err(Unreadable::NotGenuine),
        };
        let order = lines
            .rest()
            .map(|rest| order_from_text(rest).ok_or(Unreadable::NotGenuine));
        Ok(Self {
            logout,
            order: order.transpose()?,
        })
    }

    /// Returns the identifier of the latest order, or an empty string without an order.
    pub(crate) fn identifier(&self) -> &str {
        self.order.as_ref().map_or("", |order| &order.identifier)
    }
}

fn order_from_text(text: &str) -> Option<SealedOrder> {
    let mut lines = strings::split(text, b'\n');
    let order = SealedOrder {
        times: Times::from_text(lines.next()?)?,
        identifier: lines.next()?.to_owned(),
        sealed: lines.next()?.to_owned(),
    };
    lines.next().is_none().then_some(order)
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
    pub(crate) fn identifier_in(self, sid: &str) -> &str {
        let mut parts = strings::split(sid, b'.').skip(1);
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

    fn order() -> SealedOrder {
        SealedOrder {
            times: EARLY,
            identifier: "one".to_owned(),
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
            let end = End { logout, order };
            assert_eq!(End::from_text(&end.to_text()), Ok(end));
        }
    }

    #[test]
    fn other_values_are_not_read() {
        let text = End {
            logout: None,
            order: Some(order()),
        };
        let text = text.to_text();
        let of_other_version = text.replacen('1', "2", 1);
        assert_eq!(
            End::from_text(&of_other_version),
            Err(Unreadable::OtherVersion)
        );
        let longer = [&text, "\nx"].concat();
        for other in [
            "",
            "1",
            "1\n7",
            "1\n7 x",
            "1\n\n7 7\none",
            "1000 7",
            &longer,
        ] {
            assert_eq!(
                End::from_text(other),
                Err(Unreadable::NotGenuine),
                "{other}"
            );
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
