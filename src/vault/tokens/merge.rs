//! The merge of this vault's session with the content of the store. If both are the same session, the later generation
//! wins. If both have the same generation and this vault's tokens are not stored, the stored tokens win. If they are
//! different sessions, the stored session wins, unless this vault's session is not stored yet, and began later than the
//! stored session or replaced it.

use crate::context::Context;
use crate::persistence::reader::Stored;
use crate::tokens::Tokens;
use rules::base::clock::Instant;
use rules::egress::policy::TokenSelector;
use rules::prelude::*;
use rules::session::{EndReason, Session};

/// The result of a merge.
pub(crate) enum Merged {
    /// The session continues, or the vault still has no session.
    Unchanged,
    /// The session now has the tokens that another vault's refresh has stored.
    Renewed,
    /// The stored session must replace this vault's session.
    Replaced(Box<Session>),
    /// The session has ended in another vault.
    Ended(EndReason),
    /// This vault's session, which began at this time, was logged out. Another vault that had the lock has then stored
    /// the session again.
    Overwritten(Instant),
    /// A session that this vault does not have was logged out and then stored again. The logout was recorded, to be
    /// written again.
    Recorded,
}

impl Merged {
    /// Returns true if the merge found a logout by another vault.
    pub(crate) const fn is_logout(&self) -> bool {
        match self {
            Self::Ended(reason) => reason.is_logout(),
            Self::Overwritten(_) | Self::Recorded => true,
            _ => false,
        }
    }
}

impl Tokens {
    /// Merges the session of this vault with the content of the store.
    pub(crate) fn merge(&mut self, ctx: &mut Context, stored: Stored) -> Merged {
        match stored {
            Stored::Session(theirs) => return self.merge_session(ctx, theirs),
            Stored::Overwritten(theirs) => return self.merge_overwritten(ctx, &theirs),
            Stored::Ended(sid, reason) => return self.merge_end(ctx, &sid, reason),
            // The store had the session and has lost it, so another vault may have consumed the refresh token of this
            // vault.
            Stored::Nothing | Stored::Unreadable if self.persistence.is_stored => {
                return Merged::Ended(EndReason::StorageLost);
            }
            Stored::Nothing => {}
            // The store may have a session that cannot be read. If this vault has a session, that session continues.
            Stored::Unreadable | Stored::Unavailable => {
                if ctx.session.is_none() {
                    ctx.end_reason.get_or_insert(EndReason::StorageLost);
                }
            }
        }
        Merged::Unchanged
    }

    /// Merges only the end of this vault's session. This vault has the lock, so everything else in the store is older
    /// than this vault's memory.
    pub(crate) fn merge_only_end(ctx: &Context, stored: Stored) -> Merged {
        let ours = ctx.session.as_deref().map(Session::sid);
        match stored {
            Stored::Overwritten(theirs) if ours == Some(theirs.sid()) => {
                Merged::Overwritten(*theirs.times.beginning())
            }
            Stored::Ended(sid, reason) if ours == Some(&*sid) => Merged::Ended(reason),
            _ => Merged::Unchanged,
        }
    }

    /// Merges this vault's session with the stored session. If an end that this vault has recorded also ends the stored
    /// session, that end will be written to the store.
    fn merge_session(&mut self, ctx: &mut Context, mut theirs: Box<Session>) -> Merged {
        ctx.config.rules.extend_forbidden(theirs.take_endpoints());
        if self.is_over(ctx, &theirs) {
            return Merged::Unchanged;
        }
        // control: known_end_is_refused
        if self.persistence.refuse_ended(ctx, &theirs) {
            if self.persistence.has_changes() {
                self.acquire_lock(ctx);
            }
            return Merged::Unchanged;
        }
        let has_unstored_tokens = self.persistence.is_behind() && !self.refresh.is_sent();
        let ours = ctx.session.as_deref();
        let is_in_use = ours.is_some_and(|ours| ctx.is_in_use(&theirs, ours.original().subject()))
            && !self.persistence.has_ended(ctx, &theirs);
        match &mut ctx.session {
            Some(ours) if ours.sid() == theirs.sid() => {
                self.persistence.is_stored = true;
                // control: newer_record_is_adopted
                if theirs.generation() < ours.generation()
                    || theirs.generation() == ours.generation() && !has_unstored_tokens
                {
                    ours.times.adopt_activity(&theirs.times, &ctx.now);
                    return Merged::Unchanged;
                }
                let login = TokenSelector::default();
                let is_other = theirs.issued(login) != ours.issued(login);
                let was_due = is_other && ours.is_due(login, &ctx.now);
                theirs.succeed(ours, &ctx.now);
                ctx.session = Some(theirs);
                self.persistence.adopted_stored();
                // A refresh that waits for the lock is not needed, because another vault has already refreshed the
                // session.
                self.refresh.superseded(ctx, was_due);
                ctx.trace_generation("refresh_completed");
                Merged::Renewed
            }
            // This vault's session is not stored yet. It began after the stored session, or has replaced it. It does not
            // survive if the account was another user's when the login completed, which this vault could not know.
            // control: unstored_login_survives
            Some(ours)
                if !self.persistence.is_stored
                    && !is_in_use
                    && (self.persistence.replaced.as_deref() == Some(theirs.sid())
                        || theirs.times.beginning().wall <= ours.times.beginning().wall) =>
            {
                Merged::Unchanged
            }
            _ => {
                self.persistence.adopted_stored();
                Merged::Replaced(theirs)
            }
        }
    }

    fn merge_end(&mut self, ctx: &mut Context, sid: &str, reason: EndReason) -> Merged {
        let ours = ctx.session.as_deref().map(Session::sid);
        if ours.is_none() {
            ctx.end_reason.get_or_insert(reason);
            self.persistence.ended.take_if(|ended| ended.sid == sid);
        } else if ours == Some(sid) || self.persistence.is_stored {
            return Merged::Ended(reason);
        }
        Merged::Unchanged
    }

    /// Merges a stored session that one vault has logged out, and that another vault with the lock has then stored
    /// again. The refresh token in the stored session may differ from the one that was revoked.
    fn merge_overwritten(&mut self, ctx: &mut Context, theirs: &Session) -> Merged {
        if self.is_over(ctx, theirs) {
            return Merged::Unchanged;
        }
        match &ctx.session {
            Some(ours) if ours.sid() == theirs.sid() => {
                Merged::Overwritten(*theirs.times.beginning())
            }
            // This vault's session is not stored yet, so it is not the session that was logged out.
            Some(_) if !self.persistence.is_stored => Merged::Unchanged,
            Some(_) => Merged::Ended(EndReason::of_logout(&ctx.config.flow)),
            None => {
                let reason = EndReason::of_logout(&ctx.config.flow);
                ctx.end_reason.get_or_insert(reason);
                let token = theirs
                    .refresh_token()
                    .filter(|_| reason.revokes(&ctx.config.flow));
                let token = token.cloned();
                self.record_end(ctx, theirs, reason, token);
                self.persistence.limit_end(theirs.times.beginning());
                Merged::Recorded
            }
        }
    }

    /// Returns true if an end that this vault has recorded also ends the stored session. Otherwise the stored session
    /// continues, and the recorded end is discarded.
    fn is_over(&mut self, ctx: &mut Context, theirs: &Session) -> bool {
        let Some(mut ended) = self.persistence.ended.take() else {
            return false;
        };
        let is_same = ended.sid == theirs.sid();
        let is_over = ended.ends(theirs, &ctx.config.flow.limits, &ctx.now);
        if !is_over {
            if let Some(token) = ended.token.filter(|_| !is_same) {
                self.revoke(ctx, &token);
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
        // The stored refresh token differs from the one that was revoked at the end, so the stored token must be
        // revoked too. Either another vault refreshed the session before it knew of the end, or the stored session is
        // not the session that ended here.
        let is_newer = if is_same {
            theirs.generation() > ended.generation
        } else {
            ended.was_stored
        };
        if is_newer && ended.reason.revokes(&ctx.config.flow) {
            ended.token = theirs.refresh_token().cloned();
        }
        self.persistence.ended = Some(ended);
        true
    }
}
