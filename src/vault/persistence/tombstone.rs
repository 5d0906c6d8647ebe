//! The stored end of a session. The end of a session in this vault ends the session in all vaults that share the store.
//! The end is written to the store under the lock, and replaces the session there.
//!
//! If another vault holds the lock for too long, a logout is written without the lock, as a separate record beside the
//! session: a mark. The vault that holds the lock, for instance because its tab was frozen during a refresh, may store
//! the session again. The mark remains, and still shows that the session has ended.

use rules::Secret;
use rules::base::clock::Instant;
use rules::config::Limits;
use rules::prelude::*;
use rules::session::{EndReason, Session};

/// A session that ended in this vault, or whose end this vault has read.
#[derive(Clone)]
pub(crate) struct Ended {
    pub(crate) sid: String,
    pub(crate) generation: u64,
    pub(crate) reason: EndReason,
    /// The refresh token to revoke under the lock. A limit ends the session in all vaults at the same time, and only
    /// one of them needs to revoke the token.
    pub(crate) token: Option<Secret>,
    /// The number of times that activity was stored, as far as this vault knew at the end.
    pub(crate) stored_activities: u64,
    /// The time of the end.
    pub(crate) at: Instant,
    /// True if the store had the session. If false, the store may have an older session.
    pub(crate) was_stored: bool,
    /// The identifiers of the sessions whose marks are to be written because the lock was not granted.
    pub(crate) marks: Option<Vec<String>>,
    /// True if this end ends no other session, because it was in the store before: see
    /// [`KnownEnds`](crate::persistence::known_ends::KnownEnds).
    is_known: bool,
}

impl Ended {
    pub(crate) fn new(
        session: &Session,
        reason: EndReason,
        token: Option<Secret>,
        at: Instant,
        was_stored: bool,
    ) -> Self {
        Self {
            sid: session.sid().to_owned(),
            generation: session.generation(),
            reason,
            token,
            stored_activities: session.times.stored_activities(),
            at,
            was_stored,
            marks: None,
            is_known: false,
        }
    }

    /// Returns the logout of the session `sid`, which was read in the store.
    pub(crate) fn read(sid: &str, reason: EndReason, at: Instant) -> Self {
        Self {
            sid: sid.to_owned(),
            generation: 0,
            reason,
            token: None,
            stored_activities: 0,
            at,
            was_stored: true,
            marks: None,
            is_known: true,
        }
    }

    /// Returns this end as one that was in the store before, so that it ends no other session.
    pub(crate) fn into_known(self) -> Self {
        Self {
            token: None,
            was_stored: true,
            marks: None,
            is_known: true,
            ..self
        }
    }

    /// Returns true if this end also ends the session `theirs` in the store.
    pub(crate) fn ends(&self, theirs: &Session, limits: &Limits, now: &Instant) -> bool {
        if self.sid != theirs.sid() {
            return !self.is_known
                && !theirs.times.began_after(&self.at, now)
                && (self.reason.is_logout() || !self.was_stored);
        }
        // Another vault has stored a refresh or an activity that this vault did not know of when it ended the session as
        // idle: see `Times::adopt_activity`.
        let is_newer = theirs.generation() > self.generation;
        let is_news = is_newer || theirs.times.stored_activities() > self.stored_activities;
        match self.reason {
            EndReason::Idle => !is_news || theirs.limit_reached(limits, now).is_some(),
            // The provider refused an old refresh token, which a frozen vault sent late, but has renewed the session in the
            // vault that took the lock over.
            reason => !is_newer || reason.is_final(),
        }
    }
}

/// Returns the name of the mark for the end of the session `sid`.
pub(crate) fn mark_of(sid: &str) -> String {
    ["ended ", sid].concat()
}
