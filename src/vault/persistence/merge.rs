//! Merges the session of this vault and the content of the store.
//!
//! The later generation of one session wins. Of two sessions the one in the store wins, unless it is the
//! older one because this vault's could not be written yet.

use crate::Secret;
use crate::base::error::{Code, Error};
use crate::prelude::*;
use crate::session::{EndReason, Session};
use crate::vault::Vault;
use crate::vault::api_calls::Waiters;
use crate::vault::persistence::reader::Stored;

impl Vault {
    pub(super) fn reconcile(&mut self, stored: Stored) {
        match stored {
            Stored::Session(theirs) => self.meet(theirs),
            Stored::Overwritten(theirs) => self.meet_overwritten(&theirs),
            Stored::Ended(sid, reason) => self.meet_end(&sid, reason),
            // It was cleared or replaced: who knows which refresh token is the last.
            Stored::Nothing | Stored::Unreadable if self.persistence.is_known => {
                self.end_elsewhere(EndReason::StorageLost);
            }
            Stored::Nothing => {}
            // What might have been there is not to be had. What this vault holds goes on.
            Stored::Unreadable | Stored::Unavailable => {
                if self.ctx.session.is_none() {
                    self.ctx.end_reason.get_or_insert(EndReason::StorageLost);
                }
            }
        }
        if !self.persistence.has_end_to_keep(&self.ctx) {
            self.logouts.store_done(&mut self.ctx);
        }
    }

    /// The lock is this vault's: only an end may have been written, and that for good.
    pub(super) fn heed_end(&mut self, stored: Stored) {
        let is_ours = |sid: &str| {
            self.ctx
                .session
                .as_deref()
                .is_some_and(|ours| ours.sid() == sid)
        };
        match stored {
            Stored::Overwritten(theirs) if is_ours(theirs.sid()) => {
                self.end_session(EndReason::LoggedOut);
                self.persistence.end_none_after(theirs.beginning());
            }
            Stored::Ended(sid, reason) if is_ours(&sid) => self.end_elsewhere(reason),
            _ => {}
        }
    }

    /// The store has a session. One that is over already is ended by whoever asked for this.
    fn meet(&mut self, mut theirs: Box<Session>) {
        self.ctx
            .config
            .rules
            .extend_forbidden(theirs.take_endpoints());
        if self.is_over(&theirs) {
            return;
        }
        match &mut self.ctx.session {
            Some(ours) if ours.sid() == theirs.sid() => {
                self.persistence.is_known = true;
                // control: newer_record_is_adopted
                if theirs.generation() <= ours.generation() {
                    return ours.hear_of_activity(&theirs, &self.ctx.now);
                }
                theirs.succeed(ours, &self.ctx.now);
                self.ctx.session = Some(theirs);
                self.refresh.abandon(&mut self.ctx);
                self.ctx.trace_generation("refresh_completed");
            }
            // Begun here after the one in the store.
            Some(_) if !self.persistence.is_known => return,
            _ => {
                self.persistence.is_known = true;
                self.replace_session(theirs);
                self.ctx.trace_generation("session_restored");
            }
        }
        let limits = &self.ctx.config.limits;
        let session = self.ctx.session.as_deref();
        if session.is_some_and(|s| s.limit_reached(limits, &self.ctx.now).is_none()) {
            self.ctx.broadcast_session();
            self.release_calls();
        }
    }

    fn meet_end(&mut self, sid: &str, reason: EndReason) {
        let ours = self.ctx.session.as_deref().map(Session::sid);
        if ours.is_none() {
            self.ctx.end_reason.get_or_insert(reason);
            self.persistence.ended.take_if(|ended| ended.sid == sid);
        } else if ours == Some(sid) || self.persistence.is_known {
            self.end_elsewhere(reason);
            if reason == EndReason::LoggedOut {
                self.callbacks.cancel();
            }
        }
    }

    /// Somebody logged out, and somebody else who had the lock wrote the session once more. Its refresh
    /// token may be another than the one that was revoked.
    fn meet_overwritten(&mut self, theirs: &Session) {
        if self.is_over(theirs) {
            return;
        }
        match &self.ctx.session {
            Some(ours) if ours.sid() == theirs.sid() => {
                self.end_session(EndReason::LoggedOut);
                self.persistence.end_none_after(theirs.beginning());
            }
            // Begun here after that one.
            Some(_) if !self.persistence.is_known => return,
            Some(_) => self.end_elsewhere(EndReason::LoggedOut),
            None => {
                self.ctx.end_reason.get_or_insert(EndReason::LoggedOut);
                let token = theirs.refresh_token().cloned();
                self.record_end(theirs, EndReason::LoggedOut, token);
                self.persistence.end_none_after(theirs.beginning());
            }
        }
        self.callbacks.cancel();
    }

    fn end_elsewhere(&mut self, reason: EndReason) {
        if self.close_session(reason).is_some() {
            self.persistence.is_known = false;
            self.persistence.wants_save = false;
            self.logins_kept();
        }
    }

    /// Waiting calls whose session was taken over are not sent in the name of another user.
    pub(in crate::vault) fn replace_session(&mut self, session: Box<Session>) -> Option<Secret> {
        let mut detached = None;
        if self.ctx.keeps() {
            self.persistence.activity.forget(&mut self.ctx);
            if self.refresh.is_sent() {
                // Its answer is dropped, and until the new session is written the store has what it consumed.
                self.persistence.fall_behind();
            }
        }
        if let Some(before) = self.ctx.session.take()
            && before.original().subject() != session.original().subject()
        {
            let successor = self.refresh.end(&mut self.ctx);
            let error = Error::new(Code::SessionEnded, msg!("another user has signed in"));
            // control: calls_of_former_user_are_rejected
            self.calls
                .give_up_all(&mut self.ctx, &mut self.dpop, Waiters::SessionEnded, &error);
            detached = successor.or(before.refresh_token().cloned());
        }
        self.refresh.abandon(&mut self.ctx);
        self.calls.detach();
        #[cfg(feature = "extended")]
        self.calls.close_sockets(&mut self.ctx, None);
        self.ctx.session = Some(session);
        self.ctx.end_reason = None;
        detached
    }
}
