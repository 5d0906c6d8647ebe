//! A session that ended here ends for all: that is written under the lock, in the place of the session.
//!
//! A logout does not wait for ever for whoever has the lock. It is written beside the session then, as a
//! mark of its own that nobody takes away: what a vault that holds the lock writes later, because it was
//! frozen in the middle of a refresh for instance, does not undo it.

use crate::Secret;
use crate::base::clock::Instant;
use crate::prelude::*;
use crate::session::{EndReason, Session};
use crate::vault::context::Context;
use crate::vault::persistence::Persistence;
use crate::vault::{Output, Purpose, Vault};

/// A session that ended here.
pub(super) struct Ended {
    pub(super) sid: String,
    generation: u64,
    pub(super) reason: EndReason,
    /// The refresh token to revoke under the lock: a limit ends the session in all vaults at once, and one revocation is
    /// enough.
    pub(super) token: Option<Secret>,
    /// Number of times that activity was persisted, as far as this vault knew.
    touches: u64,
    /// The time of the end.
    at: Instant,
    /// True if the store had the session. Otherwise the session in the store is older.
    pub(super) was_known: bool,
    /// Sessions whose end is to be written without the lock, which was not to be had.
    marks: Option<Vec<String>>,
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

impl Vault {
    /// A session ended here, and has to end elsewhere.
    pub(in crate::vault) fn record_end(
        &mut self,
        session: &Session,
        reason: EndReason,
        token: Option<Secret>,
    ) {
        if self.ctx.keeps() {
            self.persistence.wants += 1;
            self.persistence.wants_save = false;
            self.persistence.ended = Some(Box::new(Ended {
                sid: session.sid().to_owned(),
                generation: session.generation(),
                reason,
                token,
                touches: session.touches(),
                at: self.ctx.now,
                was_known: self.persistence.is_known,
                marks: None,
            }));
            self.want_lock();
            self.logins_kept();
            if reason == EndReason::LoggedOut {
                self.persistence.shorten_wait(&mut self.ctx);
            }
        }
    }

    /// The lock was not granted in time. Gives whether there is a logout to be written without it.
    pub(super) fn end_without_lock(&mut self) -> bool {
        let Some(ended) = &mut self.persistence.ended else {
            return false;
        };
        if ended.reason != EndReason::LoggedOut || ended.marks.is_some() {
            // A limit that cannot be told of is none the less reached.
            if let Some(token) = ended.token.take() {
                self.revoke(&token);
            }
            return false;
        }
        ended.marks = Some(vec![ended.sid.clone()]);
        // The store may have another session, which this is the end of as well.
        self.persistence.look(&mut self.ctx);
        true
    }

    /// A mark was written, or could not be.
    pub(in crate::vault) fn marked(&mut self, ok: bool) {
        if ok {
            self.hints.sign_out_stored();
            self.ctx.outputs.push(Output::Announce);
        }
        if !self.ctx.is_in_flight(Purpose::Mark) {
            self.try_later();
        }
    }

    /// Returns true if the end of a session here also ends the one in the store. If not, the store has
    /// moved on, and nothing is left to be said there of that end.
    pub(super) fn is_over(&mut self, theirs: &Session) -> bool {
        let Some(mut ended) = self.persistence.ended.take() else {
            return false;
        };
        let is_same = ended.sid == theirs.sid();
        let is_over = if is_same {
            // Nobody was active as far as this vault knew: see `Session::hear_of_activity`.
            let is_news =
                theirs.touches() > ended.touches || theirs.generation() > ended.generation;
            let limit = theirs.limit_reached(&self.ctx.config.limits, &self.ctx.now);
            ended.reason != EndReason::Idle || !is_news || limit.is_some()
        } else {
            !theirs.began_after(&ended.at, &self.ctx.now)
                && (ended.reason == EndReason::LoggedOut || !ended.was_known)
        };
        if !is_over {
            if let Some(token) = ended.token.filter(|_| !is_same) {
                self.revoke(&token);
            }
            return false;
        }
        if let Some(marks) = ended
            .marks
            .as_mut()
            .filter(|marks| !marks.is_empty() && !is_same)
        {
            marks.push(theirs.sid().to_owned());
        }
        // Renewed elsewhere before the end was known, or not ended yet.
        let is_newer = if is_same {
            theirs.generation() > ended.generation
        } else {
            ended.was_known
        };
        if is_newer && ended.reason.calls_for_revocation() {
            ended.token = theirs.refresh_token().cloned();
        }
        self.persistence.ended = Some(ended);
        true
    }
}
