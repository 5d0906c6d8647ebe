//! The tombstones that back-channel logouts leave at the coordinator. A tombstone ends the sessions that began before
//! the logout, by the provider's clock: one session of the provider, or all sessions of a user. Isolates read the tombstones of a session
//! together with its record.

use rules::prelude::*;

use crate::session::Session;
use crate::store::coordinator::{self, Unreachable};
use crate::task::Task;
use rules::base::clock::{Millis, UnixMillis};
use rules::base::strings;
use rules::codec::json;
use rules::oauth::jwt;

/// Maximum number of attempts to write a tombstone while other isolates also write it.
const ATTEMPTS: u32 = 5;

/// The times in a tombstone, which ends the sessions that began before them.
#[derive(Clone, Copy)]
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

    fn to_text(self) -> String {
        let mut text = String::new();
        json::write_number(&mut text, self.received);
        text.push(' ');
        json::write_number(&mut text, self.issued);
        text
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

/// Returns the keys of the tombstones by which the provider ends a session: the key for all sessions of this user, and
/// the key for this session if its ID token has a `sid`. Returns no keys if the ID token is unknown.
pub(crate) fn keys(task: &Task, session: &Session) -> Vec<String> {
    // Without OpenID Connect, the provider cannot end sessions.
    let Some(user) = session.user().filter(|user| user.id_token().is_some()) else {
        return Vec::new();
    };
    let mut keys = vec![coordinator::client_key(task, "subject", user.subject())];
    if let Some(sid) = user.claims().str("sid") {
        keys.push(coordinator::client_key(task, "sid", sid));
    }
    keys
}

/// Returns the `iat` of the session's ID token.
pub(crate) fn issued_at(session: &Session) -> Option<u64> {
    jwt::seconds(session.user()?.claims(), "iat")
}

/// Writes a tombstone with these times, or with the later ones of a tombstone that is already there.
pub(crate) async fn leave(
    task: &Task,
    key: String,
    times: LogoutTimes,
    kept: Millis,
) -> Result<(), Unreachable> {
    for _ in 0..ATTEMPTS {
        let found = coordinator::read(task, vec![key.clone()])
            .await?
            .pop()
            .flatten();
        let before = found
            .as_ref()
            .and_then(|entry| LogoutTimes::from_text(&entry.value));
        let latest = before.map_or(times, |before| LogoutTimes {
            received: times.received.max(before.received),
            issued: times.issued.max(before.issued),
        });
        let version = found.map(|entry| entry.version);
        if coordinator::swap(task, key.clone(), version, latest.to_text(), kept)
            .await?
            .is_some()
        {
            return Ok(());
        }
    }
    Err(Unreachable)
}
