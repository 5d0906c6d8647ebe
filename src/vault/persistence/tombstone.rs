//! A session that ended here ends for all: that is written under the lock, in the place of the session.
//!
//! A logout does not wait for ever for whoever has the lock. It is written beside the session then, as a
//! mark of its own that nobody takes away: what a vault that holds the lock writes later, because it was
//! frozen in the middle of a refresh for instance, does not undo it.

use crate::Secret;
use crate::base::clock::Instant;
use crate::prelude::*;
use crate::session::EndReason;
use crate::vault::context::Context;
use crate::vault::context::Purpose;
use crate::vault::io::Output;
use crate::vault::persistence::Persistence;

/// A session that ended here.
pub(super) struct Ended {
    pub(super) sid: String,
    pub(super) generation: u64,
    pub(super) reason: EndReason,
    /// The refresh token to revoke under the lock: a limit ends the session in all vaults at once, and one revocation is
    /// enough.
    pub(super) token: Option<Secret>,
    /// Number of times that activity was persisted, as far as this vault knew.
    pub(super) touches: u64,
    /// The time of the end.
    pub(super) at: Instant,
    /// True if the store had the session. Otherwise the session in the store is older.
    pub(super) was_known: bool,
    /// Sessions whose end is to be written without the lock, which was not to be had.
    pub(super) marks: Option<Vec<String>>,
}

/// The name of the mark that the session of this number has ended.
pub(super) fn mark_of(sid: &str) -> String {
    ["ended ", sid].concat()
}

impl Persistence {
    /// The store was looked at, and what is to be marked is known.
    pub(super) fn mark_end(&mut self, ctx: &mut Context) {
        let marks = self.ended.as_mut().and_then(|e| e.marks.as_mut());
        for sid in marks.map(core::mem::take).unwrap_or_default() {
            let op = ctx.begin_limited(Purpose::Mark);
            ctx.outputs.push(Output::Store {
                op,
                key: mark_of(&sid),
                value: Secret::new(sid),
                expires_at: ctx.kept_until(),
                #[cfg(feature = "extended")]
                key_pair: None,
            });
        }
    }

    /// The logout was another vault's, at a time that nobody knows here: it says nothing of sessions that
    /// began after this one.
    pub(in crate::vault) fn end_none_after(&mut self, began: &Instant) {
        if let Some(ended) = &mut self.ended {
            ended.at = *began;
        }
    }

    /// Returns true if an end is not in the store yet.
    pub(in crate::vault) fn has_end_to_keep(&self, ctx: &Context) -> bool {
        ctx.keeps() && self.ended.is_some()
    }
}
