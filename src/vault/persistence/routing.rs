//! Routing between persistence and the other parts: what happens to the session when the store was read or written.
//!
//! The session of this vault and the content of the store are merged. The later generation of one session wins. Of two
//! sessions the one in the store wins, unless it is the older one because this vault's could not be written yet.

use crate::Secret;
use crate::base::clock::Millis;
use crate::base::error::{Code, Error};
use crate::prelude::*;
use crate::session::{self, EndReason, Session};
use crate::vault::Vault;
use crate::vault::api_calls::Waiters;
use crate::vault::api_sockets::Sockets;
use crate::vault::context::{Context, Purpose};
use crate::vault::io::{OpId, Output};
use crate::vault::login::callback::CompletedLogin;
use crate::vault::persistence::back_off;
use crate::vault::persistence::lock::Lock;
use crate::vault::persistence::reader::{Reading, Stored, load};
use crate::vault::persistence::tombstone::Ended;

impl Vault {
    /// There is a new session, which the store has to know.
    pub(in crate::vault) fn save(&mut self) {
        if self.ctx.keeps() {
            self.stop_loading();
            self.persistence.wants += 1;
            self.persistence.wants_save = true;
            self.persistence.is_known = false;
            // Until this is written, the store has what has ended.
            let ended = self.persistence.ended.take();
            self.persistence.is_behind |= ended.is_some_and(|ended| ended.was_known);
            self.logouts.store_done(&mut self.ctx);
            self.want_lock();
        }
    }

    /// Answers a login when the store has its session: the page is likely to go away then, and a worker
    /// of its own with it.
    pub(in crate::vault) fn settle_when_kept(&mut self, login: CompletedLogin) {
        if self.ctx.keeps() && self.persistence.wants_save {
            self.persistence.logins.push(login);
            self.persistence.shorten_wait(&mut self.ctx);
        } else {
            login.complete(&mut self.ctx, &mut self.logins);
        }
    }

    /// The store has the session, or cannot have it for the time being.
    fn logins_kept(&mut self) {
        for login in core::mem::take(&mut self.persistence.logins) {
            login.complete(&mut self.ctx, &mut self.logins);
        }
    }

    pub(in crate::vault) fn keep_on_time(&mut self) {
        if self
            .persistence
            .due(&self.ctx)
            .is_none_or(|at| at > self.ctx.now.monotonic)
        {
            return;
        }
        let is_over = |at: &mut Millis| *at <= self.ctx.now.monotonic;
        if self.persistence.looks.retry_at.take_if(is_over).is_some() {
            self.persistence.look(&mut self.ctx);
        }
        self.persistence.retry_at = None;
        self.persistence.flush_activity(&self.ctx);
        if self.persistence.wants_save || self.persistence.ended.is_some() {
            self.want_lock();
        }
    }

    /// Asks for the lock, or does what is wanted if this vault has it.
    pub(in crate::vault) fn want_lock(&mut self) {
        if self.persistence.request_lock(&mut self.ctx) {
            self.proceed();
        }
    }

    /// Reads the store: the lock was granted.
    pub(in crate::vault) fn locked(&mut self) {
        self.persistence.looks.is_old = self.persistence.looks.is_reading();
        self.persistence.lock = Lock::Reading(Reading::default());
        // control: store_is_read_before_refresh
        load(&mut self.ctx, Purpose::Read);
    }

    /// The lock was not granted in time.
    pub(in crate::vault) fn not_locked(&mut self) {
        self.persistence.lock = Lock::Free;
        if self.end_without_lock() {
            self.refresh_not_locked();
        } else {
            self.try_later();
        }
    }

    /// The store was read under the lock.
    fn read(&mut self, stored: Stored) {
        self.persistence.lock = Lock::Held;
        if matches!(stored, Stored::Unavailable) {
            store_refused(&mut self.ctx, true);
            if self.refresh.is_queued(&self.ctx) && !self.persistence.is_known {
                // The store never had it, and so has no other vault.
                return self.send_refresh();
            }
            // Who knows what another vault has written there.
            self.try_later();
            self.persistence.unlock(&mut self.ctx);
            return self.settle_doubt();
        }
        self.reconcile(stored);
        self.settle_doubt();
        self.proceed();
    }

    /// Does the next work that needs the lock, or releases it.
    pub(in crate::vault) fn proceed(&mut self) {
        let is_held = matches!(self.persistence.lock, Lock::Held);
        if !self.ctx.keeps() || !is_held || self.refresh.is_sent() {
            return;
        }
        self.persistence.retry_at = None;
        let is_writable = self.persistence.failures == 0;
        if let Some(ended) = &mut self.persistence.ended {
            let token = ended.token.take();
            let ended = session::ended(&ended.sid, ended.reason, &self.ctx.config);
            if let Some(token) = token {
                self.revoke(&token);
            }
            // control: logout_is_stored
            return self.persistence.write(&mut self.ctx, ended);
        }
        if self.refresh.is_queued(&self.ctx) && (!self.persistence.wants_save || !is_writable) {
            return self.send_refresh();
        }
        match &mut self.ctx.session {
            Some(session) if self.persistence.wants_save => {
                // Now that the store's own count is known.
                if core::mem::take(&mut self.persistence.activity.is_new) {
                    session.count_activity();
                    self.persistence.activity.is_counted = true;
                }
                let kept = session.kept(&self.ctx.config, &self.ctx.now);
                self.persistence.write(&mut self.ctx, kept);
            }
            _ => self.persistence.unlock(&mut self.ctx),
        }
    }

    /// The store was written, or could not be.
    pub(in crate::vault) fn written(&mut self, op: OpId, ok: bool) {
        if !matches!(self.persistence.lock, Lock::Writing(written) if written == op) {
            return;
        }
        self.persistence.lock = Lock::Held;
        // What a look that is under way finds may be from before.
        self.persistence.looks.is_old |= self.persistence.looks.is_reading();
        store_refused(&mut self.ctx, !ok);
        if ok {
            self.persistence.activity_written(&mut self.ctx, true);
            self.persistence.failures = 0;
            // Of a reading before that failed: nothing has to be waited for any more.
            self.persistence.retry_at = None;
            self.persistence.is_behind = false;
            #[cfg(feature = "extended")]
            {
                self.persistence.may_be_known = false;
            }
            self.logouts.store_done(&mut self.ctx);
            self.logins_kept();
            if self.persistence.wants == self.persistence.wants_when_written {
                self.persistence.ended = None;
                self.persistence.wants_save = false;
                self.persistence.is_known = self.ctx.session.is_some();
                self.hints.sign_out_stored();
            }
            self.ctx.outputs.push(Output::Announce);
        } else {
            self.persistence.wants_save |= self.ctx.session.is_some();
            self.try_later();
            // As long as what the store has is not consumed, others may go on from that.
            // control: lock_is_held_until_stored
            if !self.persistence.is_behind && self.persistence.ended.is_none() {
                self.persistence.activity_written(&mut self.ctx, false);
                self.persistence.unlock(&mut self.ctx);
            }
        }
    }

    /// After [`Vault::written`]: goes on, unless it has to be tried again first.
    pub(in crate::vault) fn proceed_after_writing(&mut self) {
        if self.persistence.retry_at.is_none() || self.refresh.is_queued(&self.ctx) {
            self.proceed();
        }
    }

    fn try_later(&mut self) {
        self.hints.sign_out_not_stored(&mut self.ctx);
        let wait = back_off(self.persistence.failures);
        self.persistence.failures += 1;
        self.logouts.store_done(&mut self.ctx);
        self.logins_kept();
        let is_wanted = self.persistence.wants_save || self.persistence.ended.is_some();
        self.persistence.retry_at = is_wanted.then(|| self.ctx.now.monotonic + wait);
        self.refresh_not_locked();
    }

    pub(in crate::vault) fn has_read(&mut self, purpose: Purpose, stored: Stored) {
        match purpose {
            Purpose::Look => self.looked(stored),
            _ => self.read(stored),
        }
    }

    /// The store was looked at without the lock.
    fn looked(&mut self, stored: Stored) {
        self.persistence.looks.open = None;
        let signed_out_at = match stored {
            Stored::Unavailable => None,
            _ => self.persistence.looks.signed_out_at.take(),
        };
        let stored = match stored {
            Stored::Session(session)
                if signed_out_at.is_some_and(|at| session.beginning().wall <= at) =>
            {
                Stored::Overwritten(session)
            }
            stored => stored,
        };
        if signed_out_at.is_none() && self.persistence.is_superseded(&mut self.ctx, &stored) {
            return;
        }
        let was_loading = self.ctx.is_loading();
        let is_unavailable = matches!(stored, Stored::Unavailable);
        let is_old = core::mem::take(&mut self.persistence.looks.is_old);
        match self.persistence.lock {
            Lock::Free | Lock::Asked(_) if !is_old => {
                self.reconcile(stored);
                self.settle_doubt();
                self.persistence.mark_end(&mut self.ctx);
            }
            // Under the lock it is this vault that knows best, but for an end that did not wait for it.
            Lock::Held | Lock::Writing(_) | Lock::Reading(_) => {
                self.heed_end(stored);
                self.persistence.looks.after_lock = true;
            }
            Lock::Free => self.persistence.looks.again = true,
            Lock::Asked(_) => self.persistence.looks.after_lock = true,
        }
        self.persistence.looks.retry_at = None;
        if was_loading {
            self.greet_all();
        }
        self.ctx.has_looked = true;
        if core::mem::take(&mut self.persistence.looks.again) {
            self.persistence
                .changed_elsewhere(&mut self.ctx, self.refresh.is_sent());
        } else if is_unavailable {
            let wait = back_off(self.persistence.looks.failed);
            self.persistence.looks.retry_at = Some(self.ctx.now.monotonic + wait);
            self.persistence.looks.failed += 1;
        }
    }

    /// There is a session by a login, whatever the store has: pages need not wait to be told of it.
    fn stop_loading(&mut self) {
        if self.ctx.is_loading() {
            self.ctx.has_looked = true;
            self.greet_all();
        }
    }

    fn greet_all(&mut self) {
        for i in 0..self.ctx.ports.len() {
            self.greet(self.ctx.ports[i]);
        }
    }

    fn reconcile(&mut self, stored: Stored) {
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
    fn heed_end(&mut self, stored: Stored) {
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
        self.calls.list.detach();
        Sockets::close(&mut self.ctx, &mut self.calls.list, None);
        self.ctx.session = Some(session);
        self.ctx.end_reason = None;
        detached
    }

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
    fn end_without_lock(&mut self) -> bool {
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
    fn is_over(&mut self, theirs: &Session) -> bool {
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

    /// Idle or not: now it is known.
    fn settle_doubt(&mut self) {
        let doubt = self.ctx.doubt.take();
        let limits = &self.ctx.config.limits;
        let session = self.ctx.session.as_deref();
        if let Some(reason) = session.and_then(|s| s.limit_reached(limits, &self.ctx.now)) {
            self.end_session(reason);
        } else if let Some(doubt) = doubt {
            if doubt {
                self.user_is_active();
            }
            self.resume_calls();
        }
    }
}

/// Tells pages if the store accepts their session, when that changes.
fn store_refused(ctx: &mut Context, is_refused: bool) {
    if ctx.is_refused != is_refused {
        ctx.is_refused = is_refused;
        if ctx.session.is_some() {
            ctx.broadcast_session();
        }
    }
}
