//! The end of a session in this vault, which ends the session in all vaults. The end is written under the lock, in
//! place of the session.
//!
//! A logout does not wait without limit for the vault that holds the lock. After a while it is written beside the
//! session, as a mark of its own that is never deleted. A vault that holds the lock, because it was frozen in the middle
//! of a refresh for instance, cannot undo the mark by what it writes later.

use crate::Secret;
use crate::base::clock::Instant;
use crate::prelude::*;
use crate::session::{EndReason, Session};

/// A session that ended here.
pub(in crate::vault) struct Ended {
    pub(in crate::vault) sid: String,
    pub(in crate::vault) generation: u64,
    pub(in crate::vault) reason: EndReason,
    /// The refresh token to revoke under the lock: a limit ends the session in all vaults at once, and one revocation is
    /// enough.
    pub(in crate::vault) token: Option<Secret>,
    /// Number of times that activity was persisted, as far as this vault knew.
    pub(in crate::vault) touches: u64,
    /// The time of the end.
    pub(in crate::vault) at: Instant,
    /// True if the store had the session. If false, the store has an older session.
    pub(in crate::vault) was_stored: bool,
    /// Sessions whose end is to be written without the lock, which was not granted.
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
            touches: session.times.touches(),
            at,
            was_stored,
            marks: None,
        }
    }
}

/// Returns the name of the mark that the session of this number has ended.
pub(in crate::vault) fn mark_of(sid: &str) -> String {
    ["ended ", sid].concat()
}
