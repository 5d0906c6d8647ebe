//! The tombstones that end sessions of a user, or of one session of the provider, without naming them. A back-channel
//! logout leaves one, and so does an [order](crate::store::order) of the app's server. A tombstone ends the sessions that began
//! before it, by the provider's clock. Isolates read the tombstones of a session together with its record.

use rules::prelude::*;

use crate::session::Session;
use crate::store::coordinator;
use crate::task::Task;
use rules::base::clock::{Millis, UnixMillis};
use rules::base::strings;
use rules::codec::json;
use rules::oauth::identity::Identity;
use rules::oauth::jwt;

/// The times in a tombstone, which ends the sessions that began before them. Handlers of earlier versions take any other
/// text for a tombstone that ends every session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogoutTimes {
    /// The time at which this server received the logout token.
    pub(crate) received: UnixMillis,
    /// The token's `iat`, in seconds by the provider's clock.
    pub(crate) issued: u64,
}

impl LogoutTimes {
    /// Reads a tombstone. Returns `None` for any other string.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let (received, issued) = strings::split_once(text, b' ');
        Some(Self {
            received: json::parse_u64(received)?,
            issued: issued.map_or(Some(0), json::parse_u64)?,
        })
    }

    pub(crate) fn to_text(self) -> String {
        let mut text = String::new();
        json::write_number(&mut text, self.received);
        text.push(' ');
        json::write_number(&mut text, self.issued);
        text
    }

    /// Returns these times, or the later ones of the tombstone with this text.
    pub(crate) fn or_later(self, text: &str) -> Self {
        Self::from_text(text).map_or(self, |other| Self {
            received: self.received.max(other.received),
            issued: self.issued.max(other.issued),
        })
    }

    /// Returns true if these times end a session that began at `began`. `issued` is the `iat` of its ID token. The
    /// provider's clock decides if it has told both times, since the clocks of two servers may differ.
    pub(crate) fn end(self, began: UnixMillis, issued: Option<u64>) -> bool {
        match issued {
            Some(issued) if self.issued > 0 => issued <= self.issued,
            _ => began <= self.received,
        }
    }
}

/// The sessions that a tombstone ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// All sessions of a user.
    Subject,
    /// The sessions that began in one session of the provider, which the `sid` of their ID tokens names.
    ProviderSession,
}

/// The name of a tombstone.
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

    /// Returns the key of the tombstone.
    pub(crate) fn key(&self, task: &Task) -> String {
        let kind = match self.kind {
            Kind::Subject => "subject",
            Kind::ProviderSession => "sid",
        };
        coordinator::client_key(task, kind, &self.text)
    }
}

/// Returns the names of the tombstones that can end a session: see [`names_of`]. Returns no names if the user is unknown.
pub(crate) fn names(task: &Task, session: &Session) -> Vec<Name> {
    session
        .user()
        .map_or_else(Vec::new, |user| names_of(task, &user))
}

/// Returns the names of the tombstones that can end the sessions of a user who has just signed in: first the one for all
/// sessions of the user, then the one for this session of the provider, if the ID token has a `sid`.
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

/// Returns the lifetime of a tombstone: all sessions that it ends reach their limit before.
pub(crate) fn lifetime(task: &Task) -> Millis {
    let flow = &task.config().flow;
    flow.limits.absolute + Millis(flow.clock_tolerance.0 * 2)
}
