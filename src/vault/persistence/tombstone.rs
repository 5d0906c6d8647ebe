//! The stored end of a session. The end of a session in this vault ends the session in all vaults that share the store.
//! The end is written to the store under the lock, and replaces the session there.
//!
//! If another vault holds the lock for too long, a logout is written without the lock, as a separate record beside the
//! session: a mark. The vault that holds the lock, for instance because its tab was frozen during a refresh, may store
//! the session again. The mark remains, and still shows that the session has ended.

use crate::Secret;
use crate::base::clock::Instant;
use crate::prelude::*;
use crate::session::{EndReason, Session};

/// A session that ended in this vault.
pub(in crate::vault) struct Ended {
    pub(in crate::vault) sid: String,
    pub(in crate::vault) generation: u64,
    pub(in crate::vault) reason: EndReason,
    /// The refresh token to revoke under the lock. A limit ends the session in all vaults at the same time, and only
    /// one of them needs to revoke the token.
    pub(in crate::vault) token: Option<Secret>,
    /// The number of times that activity was stored, as far as this vault knew at the end.
    pub(in crate::vault) stored_activities: u64,
    /// The time of the end.
    pub(in crate::vault) at: Instant,
    /// True if the store had the session. If false, the store may have an older session.
    pub(in crate::vault) was_stored: bool,
    /// The identifiers of the sessions whose marks are to be written because the lock was not granted.
    pub(in crate::vault) marks: Option<Vec<String>>,
}

impl Ended {
    pub(in crate::vault) fn new(
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
        }
    }
}

/// Returns the name of the mark for the end of the session `sid`.
pub(in crate::vault) fn mark_of(sid: &str) -> String {
    ["ended ", sid].concat()
}
