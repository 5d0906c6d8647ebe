//! The session in a store that several vaults share. Vaults share a store if several tabs have dedicated workers, or if
//! a worker starts after another worker has ended.
//!
//! The vaults also share a lock. To change the store, a vault acquires the lock, reads the store, makes its change, and
//! releases the lock when the store has the same state as the vault's memory. If the vault released the lock earlier,
//! another vault could send a refresh token that is already consumed. If a write fails while the stored refresh token
//! is consumed, the vault therefore keeps the lock and tries again. After a change by another vault, a vault reads the
//! store without the lock. If the page of the vault with the lock is frozen, another vault takes the lock over.
//!
//! - `reader`: reads of the store, with or without the lock.
//! - `lock`: requests for the lock, and its takeover.
//! - `tombstone`: the stored end of a session, which ends the session in all vaults.
//! - `known_ends`: the ends that were in the store, so that a copied record does not undo them.
//! - `activity`: activity of the user, which keeps the session alive in all vaults.
//!
//! Only configurations with `persist: 'sealed'` or `persist: 'escrow'` use this module.

pub(super) mod activity;
mod known_ends;
pub(super) mod lock;
pub(super) mod reader;
pub(super) mod tombstone;

use crate::context::{Context, Purpose};
use crate::io::{Loaded, OpId, Output, Taken};
use activity::Activity;
use known_ends::{KnownEnds, Refusal};
use lock::{Lock, SENT_WITHIN};
use reader::{Reading, Stored, UnlockedReads};
use rules::Secret;
use rules::base::clock::{Instant, Millis, UnixMillis};
use rules::prelude::*;
use rules::session::{EndReason, Session};
use tombstone::{Ended, mark_of};

/// The first wait before a failed read or write of the store is repeated. The wait doubles with each failure, up to
/// [`LONGEST_RETRY`].
const RETRY: Millis = Millis::from_secs(1);
/// The longest wait before a failed read or write of the store is repeated.
const LONGEST_RETRY: Millis = Millis::from_secs(60);

/// The state of persistence.
#[derive(Default)]
pub(super) struct Persistence {
    pub(super) lock: Lock,
    /// The time at which this vault last learned that it has the lock.
    locked_at: Millis,
    reads: UnlockedReads,
    pub(super) activity: Activity,
    /// True if the store has, or had, this vault's session.
    pub(super) is_stored: bool,
    /// The identifier of the stored session that was replaced or ended in this vault before the last login. The store
    /// may still have that session until the new one is written.
    pub(super) replaced: Option<String>,
    /// True if a write did not end within its time limit, so the store may or may not have the session.
    may_be_stored: bool,
    /// True if the refresh token in the store may already be consumed.
    is_behind: bool,
    /// True if the session must be written to the store.
    pub(super) needs_save: bool,
    /// A session that ended in this vault. The store does not have its end yet.
    pub(super) ended: Option<Box<Ended>>,
    /// The end of the session before this one, if the store did not have that end when this session began.
    ended_before: Option<Box<Ended>>,
    known_ends: KnownEnds,
    /// The time at which the store is read again, because it has a session whose end this vault knows.
    reread_at: Option<Millis>,
    /// The number of changes so far, and the number when the last write began. If the two differ, that write did not
    /// include the latest changes.
    changes: u32,
    changes_when_written: u32,
    failures: u32,
    /// The time of the next attempt to change the store, after the lock was not granted or an attempt failed.
    pub(super) retry_at: Option<Millis>,
}

/// The result of a write.
pub(super) enum Written {
    /// The vault no longer waited for this write.
    Late,
    /// The store has the record. If `is_current` is true, the vault has no later changes to write.
    Done {
        is_current: bool,
    },
    Failed,
}

/// The way to handle the result of a read without the lock.
pub(super) enum ReadAction {
    /// The result may be out of date. The store is read again before pages are greeted.
    Superseded,
    /// The session of this vault and the content of the store are merged.
    Merge(Stored),
    /// Only the end of the session is merged. This vault got the lock a short time ago, so no other vault can have
    /// changed anything else in the store.
    MergeEnd(Stored),
    /// The result may be older than a state that this vault has read or written under the lock, so the store is read
    /// again.
    Ignored,
}

impl Persistence {
    /// Returns true if the store has this vault's session and accepts what this vault writes.
    pub(super) const fn is_in_store(&self, ctx: &Context) -> bool {
        ctx.stores_sessions() && self.is_stored && !ctx.is_store_failing
    }

    /// Returns true if this vault can stop without losing a change that is not stored yet.
    pub(super) const fn is_up_to_date(&self, ctx: &Context) -> bool {
        !ctx.stores_sessions()
            || (self.lock.is_not_requested() && !self.needs_save && self.ended.is_none())
    }

    pub(super) fn due(&self, ctx: &Context) -> Option<Millis> {
        let all = [self.lock.take_over_due(), self.work_due(ctx)];
        all.into_iter().flatten().min()
    }

    fn work_due(&self, ctx: &Context) -> Option<Millis> {
        if !ctx.stores_sessions() {
            return None;
        }
        let all = [
            self.retry_at,
            self.activity.flush_at,
            self.reads.retry_at,
            self.reread_at,
        ];
        all.into_iter().flatten().min()
    }

    /// Starts the read that is due, if any. Returns true if a change must be written, for which the vault needs the
    /// lock.
    pub(super) fn tick(&mut self, ctx: &mut Context) -> bool {
        self.lock.take_over(ctx);
        if self.work_due(ctx).is_none_or(|at| at > ctx.now.monotonic) {
            return false;
        }
        let is_over = |at: &mut Millis| *at <= ctx.now.monotonic;
        let is_read_due = self.reads.retry_at.take_if(is_over).is_some();
        if self.reread_at.take_if(is_over).is_some() || is_read_due {
            self.reads.read(ctx);
        }
        self.retry_at = None;
        if self.activity.flush_at.take().is_some() && ctx.session.is_some() {
            self.activity.is_new = true;
            self.changes += 1;
            self.needs_save = true;
        }
        self.has_changes()
    }

    // Activity.

    /// Returns true if the session must not end for `reason` before the store is read. In that case, begins to read the
    /// store, unless a read is in flight.
    pub(super) fn doubts(&mut self, ctx: &mut Context, reason: EndReason) -> bool {
        // control: activity_in_other_tabs_counts
        if !ctx.stores_sessions() || reason != EndReason::Idle || !self.is_stored {
            return false;
        }
        ctx.doubt.get_or_insert(false);
        if !self.lock.is_reading() {
            self.reads.read(ctx);
        }
        true
    }

    /// Returns true if a read of the store will show if the session is still alive.
    pub(super) const fn awaits_verdict(&self, ctx: &Context) -> bool {
        let is_reading = self.reads.is_reading() || self.lock.is_reading();
        ctx.is_in_doubt() && is_reading
    }

    /// Records that the user was active. Returns false if the activity does not count yet, because the session may
    /// already have reached its idle limit.
    pub(super) fn record_activity(&mut self, ctx: &mut Context) -> bool {
        let counts = self.activity.record(ctx);
        if let Some(session) = ctx.session.as_mut().filter(|_| counts) {
            session.times.record_activity(&ctx.now);
        }
        counts
    }

    // Reads.

    /// Begins the first read of the store when the first input is handled.
    pub(super) fn begin(&mut self, ctx: &mut Context) {
        self.reads.begin(ctx);
    }

    /// Reads the store, because another vault has changed it.
    pub(super) fn changed_elsewhere(&mut self, ctx: &mut Context, is_refresh_sent: bool) {
        // control: announced_change_is_read
        if !ctx.stores_sessions() {
            return;
        }
        self.reads.forget_expected_end();
        // The other vault had the lock and may have released it by now, so a pending retry need not wait longer.
        self.retry_at = self.retry_at.map(|_| ctx.now.monotonic);
        if matches!(self.lock, Lock::NotRequested | Lock::Requested(..)) || is_refresh_sent {
            self.reads.changed(ctx);
        } else {
            self.reads.after_unlock = true;
        }
    }

    /// Records a sign-out in this or another vault while pages wait for the first read of the store. `at` is the time
    /// of the sign-out, or `None` if another vault is about to write the sign-out to the store.
    pub(super) fn signed_out_while_loading(&mut self, ctx: &mut Context, at: Option<UnixMillis>) {
        self.reads.signed_out(ctx, at);
    }

    /// Plans a read of the store at the time `at`.
    pub(super) const fn read_at(&mut self, at: Millis) {
        self.reads.retry_at = Some(at);
    }

    /// Handles the content of the store. If the content is a session, returns `None` and first looks for a mark (see
    /// `tombstone`) that the session has ended.
    pub(super) fn loaded(
        &mut self,
        ctx: &mut Context,
        purpose: Purpose,
        loaded: &Loaded,
    ) -> Option<Stored> {
        let session = match reader::parse(ctx, loaded) {
            Stored::Session(session) => session,
            stored => return Some(stored),
        };
        reader::look_up_end(ctx, purpose, &session);
        if let Some(reading) = self.reading(purpose) {
            reading.found(session);
        }
        None
    }

    /// Handles the result of the search for the mark that a session has ended. Returns the result of the whole read, or
    /// `None` if this vault no longer waits for it.
    pub(super) fn mark_taken(&mut self, purpose: Purpose, taken: &Taken) -> Option<Stored> {
        self.reading(purpose)?.end_taken(taken)
    }

    fn reading(&mut self, purpose: Purpose) -> Option<&mut Reading> {
        match (&mut self.lock, purpose) {
            (_, Purpose::ReadUnlocked) => self.reads.in_flight.as_mut(),
            (Lock::Reading(reading), _) => Some(reading),
            _ => None,
        }
    }

    /// Returns the sessions that were read from the store and for which the vault is looking for a mark of their end.
    pub(super) fn sessions_being_read(&self) -> impl Iterator<Item = &Session> {
        let under_lock = match &self.lock {
            Lock::Reading(reading) => Some(reading),
            _ => None,
        };
        let readings = [self.reads.in_flight.as_ref(), under_lock];
        readings.into_iter().flatten().filter_map(Reading::session)
    }

    /// Handles the result of a read without the lock.
    pub(super) fn unlocked_read_done(&mut self, ctx: &mut Context, stored: Stored) -> ReadAction {
        self.reads.in_flight = None;
        let signed_out_at = match stored {
            Stored::Unavailable => None,
            _ => self.reads.signed_out_at.take(),
        };
        let stored = match stored {
            Stored::Session(session)
                if signed_out_at
                    .as_ref()
                    .is_some_and(|at| !session.times.began_after(at, &ctx.now)) =>
            {
                Stored::Overwritten(session)
            }
            stored => stored,
        };
        if signed_out_at.is_none() && self.reads.is_superseded(ctx, &stored) {
            return ReadAction::Superseded;
        }
        let is_old = core::mem::take(&mut self.reads.is_old);
        match self.lock {
            Lock::NotRequested | Lock::Requested(..) if !is_old => ReadAction::Merge(stored),
            // Another vault may have taken the lock over.
            Lock::Held | Lock::Writing(_)
                if !is_old && (ctx.is_in_doubt() || self.is_lock_old(ctx)) =>
            {
                ReadAction::Merge(stored)
            }
            Lock::Held | Lock::Writing(_) | Lock::Reading(_) => ReadAction::MergeEnd(stored),
            Lock::NotRequested => {
                self.reads.again = true;
                ReadAction::Ignored
            }
            Lock::Requested(..) => {
                self.reads.after_unlock = true;
                ReadAction::Ignored
            }
        }
    }

    /// Plans another read of the store, which begins when this vault releases the lock.
    pub(super) const fn read_after_unlock(&mut self) {
        self.reads.after_unlock = true;
    }

    /// Follows a read without the lock. If the store changed during that read, reads the store again. If the store was
    /// unavailable, plans the next attempt.
    pub(super) fn plan_read(
        &mut self,
        ctx: &mut Context,
        is_unavailable: bool,
        is_refresh_sent: bool,
    ) {
        self.reads.retry_at = None;
        if core::mem::take(&mut self.reads.again) {
            self.changed_elsewhere(ctx, is_refresh_sent);
        } else if is_unavailable {
            let wait = back_off(self.reads.failed);
            self.reads.retry_at = Some(ctx.now.monotonic + wait);
            self.reads.failed += 1;
        }
    }

    // The lock.

    /// Requests the lock. Returns true if this vault already has the lock, and no read or write is in flight under it.
    pub(super) fn request_lock(&mut self, ctx: &mut Context) -> bool {
        self.lock.request(ctx);
        self.lock.is_held()
    }

    /// Shortens the wait for the lock, because a page waits for a login or logout to be stored.
    pub(super) fn shorten_wait(&self, ctx: &mut Context) {
        self.lock.shorten_wait(ctx);
    }

    /// Records that this vault has the lock, and that no read or write is in flight under it.
    pub(super) fn hold_lock(&mut self) {
        self.lock = Lock::Held;
    }

    /// Reads the store after the lock was granted.
    pub(super) fn locked(&mut self, ctx: &mut Context) {
        self.locked_at = ctx.now.monotonic;
        // control: read_older_than_the_lock_is_old
        self.reads.is_old = self.reads.is_reading();
        self.lock = Lock::Reading(Reading::default());
        reader::load(ctx, Purpose::ReadLocked);
    }

    /// Returns true if this vault has had the lock for a long time. Another vault may have taken it over while this one was
    /// frozen, or may do so before the response to a refresh token arrives.
    fn is_lock_old(&self, ctx: &Context) -> bool {
        // control: old_lock_sends_no_token
        ctx.now.monotonic.saturating_sub(self.locked_at) > SENT_WITHIN
    }

    /// Returns true if a refresh has to request the lock again. A lock under which a successor could not be stored yet is
    /// never released.
    pub(super) fn must_lock_again(&self, ctx: &Context) -> bool {
        self.may_be_in_store() && !self.is_behind && self.is_lock_old(ctx)
    }

    /// Records that another vault has taken the lock over, because this vault was frozen. Returns false if this vault no
    /// longer had the lock.
    pub(super) fn lock_lost(&mut self, ctx: &mut Context) -> bool {
        if matches!(self.lock, Lock::NotRequested | Lock::Requested(..)) {
            return false;
        }
        if let Lock::Writing(op) = self.lock
            && self.ended.is_none()
        {
            // Otherwise the write could precede that of the other vault, whose tokens are newer.
            ctx.shorten_deadline(op, ctx.now.monotonic);
        }
        self.lock = Lock::NotRequested;
        ctx.cancel(Purpose::ReadLocked);
        self.activity.written(ctx, false);
        self.needs_save |= ctx.session.is_some();
        true
    }

    pub(super) fn unlock(&mut self, ctx: &mut Context) {
        self.lock = Lock::NotRequested;
        ctx.outputs.push(Output::Unlock);
        // control: change_under_the_lock_is_read
        if core::mem::take(&mut self.reads.after_unlock) {
            self.reads.read(ctx);
        }
    }

    // Writes.

    /// Records that a new session has begun and must be written.
    pub(super) fn begin_session(&mut self) {
        self.changes += 1;
        self.needs_save = true;
        self.is_stored = false;
        // Until the new session is written, the store has the session that has ended.
        if let Some(mut ended) = self.ended.take() {
            ended.token = None;
            if ended.was_stored {
                self.is_behind = true;
                self.replaced = Some(ended.sid.clone());
            }
            self.ended_before = Some(ended);
        }
    }

    /// Returns true if the session `theirs` in the store ended in this vault before this vault's session began.
    pub(super) fn has_ended(&self, ctx: &Context, theirs: &Session) -> bool {
        let before = self.ended_before.as_deref();
        before.is_some_and(|ended| ended.ends(theirs, &ctx.config.flow.limits, &ctx.now))
    }

    /// Remembers the end of a session that was read as a logout. If a marked session's end was known before, returns the
    /// session as an ordinary one, which [`Self::refuse_ended`] refuses.
    pub(super) fn learn_end(&mut self, ctx: &Context, stored: Stored) -> Stored {
        let logout = EndReason::of_logout(&ctx.config.flow);
        let (sid, reason) = match &stored {
            Stored::Ended(sid, reason) if reason.is_logout() => (&**sid, *reason),
            Stored::Overwritten(theirs) => (theirs.sid(), logout),
            _ => return stored,
        };
        let was_known = self.known_ends.add(Ended::read(sid, reason, ctx.now));
        match stored {
            Stored::Overwritten(theirs) if was_known => Stored::Session(theirs),
            stored => stored,
        }
    }

    /// Refuses the stored session `theirs` if this vault knows its end. Then plans to write that end again or, if this vault has
    /// another session, that session. Returns true if it refuses.
    pub(super) fn refuse_ended(&mut self, ctx: &Context, theirs: &Session) -> bool {
        let limits = &ctx.config.flow.limits;
        let Some(refusal) = self.known_ends.refuse(theirs, limits, &ctx.now) else {
            return false;
        };
        match refusal {
            Refusal::Later(_) if self.has_changes() => {}
            Refusal::Later(at) => self.reread_at = Some(at),
            Refusal::Now(_) if ctx.session.is_some() => {
                self.changes += 1;
                self.needs_save = true;
            }
            Refusal::Now(ended) => {
                self.changes += 1;
                self.ended = Some(Box::new(ended));
            }
        }
        true
    }

    /// Returns true if a change must be written to the store.
    pub(super) const fn has_changes(&self) -> bool {
        self.needs_save || self.ended.is_some()
    }

    /// Records that the session ended in another vault.
    pub(super) const fn ended_elsewhere(&mut self) {
        self.is_stored = false;
        self.needs_save = false;
    }

    /// Records that the refresh token in the store, if the store has one, may be consumed.
    pub(super) const fn fall_behind(&mut self) {
        self.is_behind |= self.may_be_in_store();
    }

    /// Returns true if the refresh token in the store may already be consumed, because the store may not have this vault's
    /// successor yet. If another vault has taken the lock over, it may have stored its own successor.
    pub(super) const fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Records that this vault has taken its session from the store.
    pub(super) const fn adopted_stored(&mut self) {
        self.is_stored = true;
        self.is_behind = false;
    }

    /// Records that a session was refreshed without the lock, so it must be written when the lock is granted.
    pub(super) const fn refreshed_without_lock(&mut self) {
        self.fall_behind();
        self.changes += 1;
        self.needs_save = true;
    }

    /// Returns true if the store may have this vault's session, so that another vault may have refreshed it.
    pub(super) const fn may_be_in_store(&self) -> bool {
        self.is_stored || self.may_be_stored
    }

    /// Returns true if no write, no read under the lock and no request for the lock has failed since the last
    /// successful write.
    pub(super) const fn is_writable(&self) -> bool {
        self.failures == 0
    }

    /// Writes `state` to the store, as the operation `op`.
    pub(super) fn persist(&mut self, ctx: &mut Context, op: OpId, state: Secret) {
        self.lock = Lock::Writing(op);
        self.changes_when_written = self.changes;
        let expires_at = ctx.kept_until();
        ctx.outputs.push(Output::Persist {
            op,
            state: Some(state),
            expires_at,
            key_pair: ctx.session.as_deref().and_then(Session::dpop_key).cloned(),
        });
    }

    pub(super) fn write(&mut self, ctx: &mut Context, state: Secret) {
        let op = ctx.begin_limited(Purpose::Write);
        self.persist(ctx, op, state);
    }

    /// Records that a write did not end within its time limit. The store may still complete this write.
    pub(super) const fn not_written(&mut self) {
        self.may_be_stored = true;
    }

    /// Handles the result of a write.
    pub(super) fn written(&mut self, ctx: &mut Context, op: OpId, ok: bool) -> Written {
        if !self.lock.is_writing(op) {
            return Written::Late;
        }
        self.lock = Lock::Held;
        // A read that is in flight may return the state before this write.
        self.reads.is_old |= self.reads.is_reading();
        set_store_failing(ctx, !ok);
        if !ok {
            self.needs_save |= ctx.session.is_some();
            return Written::Failed;
        }
        self.activity.written(ctx, true);
        self.failures = 0;
        // The write succeeded, so the retry that was planned after an earlier failure is not needed.
        self.retry_at = None;
        self.is_behind = false;
        self.may_be_stored = false;
        // control: change_during_a_write_is_written
        let is_current = self.changes == self.changes_when_written;
        if is_current {
            let written = [self.ended.take(), self.ended_before.take()];
            for ended in written.into_iter().flatten() {
                self.known_ends.add(*ended);
            }
            self.needs_save = false;
            self.is_stored = ctx.session.is_some();
        }
        Written::Done { is_current }
    }

    /// Releases the lock after a failed write, if other vaults can continue with the state in the store: its refresh
    /// token is not consumed, and no end of a session is missing.
    pub(super) fn unlock_if_usable(&mut self, ctx: &mut Context) {
        // control: lock_is_held_until_stored
        if !self.is_behind && self.ended.is_none() {
            self.activity.written(ctx, false);
            self.unlock(ctx);
        }
    }

    /// Handles the case that the lock was not granted, or that a read or write failed. Plans another attempt if a
    /// change must be written to the store.
    pub(super) fn plan_retry(&mut self, ctx: &Context) {
        let wait = back_off(self.failures);
        self.failures += 1;
        let is_needed = self.has_changes();
        self.retry_at = is_needed.then(|| ctx.now.monotonic + wait);
    }

    // Ends.

    /// Records that a session ended in this vault, and must end in all vaults. If `token` is given, it is a refresh
    /// token to revoke once this vault has the lock.
    pub(super) fn end(
        &mut self,
        ctx: &Context,
        session: &Session,
        reason: EndReason,
        token: Option<Secret>,
    ) {
        self.changes += 1;
        self.needs_save = false;
        let ended = Ended::new(session, reason, token, ctx.now, self.is_stored);
        self.ended = Some(Box::new(ended));
    }

    /// Prepares a logout to be written without the lock, because the lock was not granted within the time limit.
    /// Returns false if there is no unwritten logout, or if the logout was already prepared.
    pub(super) fn end_without_lock(&mut self, ctx: &mut Context) -> bool {
        let Some(ended) = &mut self.ended else {
            return false;
        };
        if !ended.reason.is_logout() || ended.marks.is_some() {
            return false;
        }
        ended.marks = Some(vec![ended.sid.clone()]);
        // The store may have another session, which the logout also ends.
        self.reads.read(ctx);
        true
    }

    /// Called after the store was read. Writes a mark for each session that a logout without the lock ends; a mark
    /// records that its session has ended (see `tombstone`).
    pub(super) fn write_marks(&mut self, ctx: &mut Context) {
        let marks = self.ended.as_mut().and_then(|e| e.marks.as_mut());
        for sid in marks.map(core::mem::take).unwrap_or_default() {
            let op = ctx.begin_limited(Purpose::Mark);
            ctx.outputs.push(Output::Store {
                op,
                key: mark_of(&sid),
                value: Secret::new(sid),
                expires_at: ctx.kept_until(),
                key_pair: None,
            });
        }
    }

    /// Limits the recorded end to sessions that had begun by the time `at`.
    pub(super) fn limit_end(&mut self, at: &Instant) {
        if let Some(ended) = &mut self.ended {
            ended.at = *at;
        }
    }

    /// Returns true if a session has ended in this vault and the store does not have its end yet.
    pub(super) const fn has_unwritten_end(&self, ctx: &Context) -> bool {
        ctx.stores_sessions() && self.ended.is_some()
    }
}

/// Records if the store fails, and tells pages if this has changed.
pub(super) fn set_store_failing(ctx: &mut Context, is_store_failing: bool) {
    if ctx.is_store_failing != is_store_failing {
        ctx.is_store_failing = is_store_failing;
        if ctx.session.is_some() {
            ctx.broadcast_session();
        }
    }
}

/// Returns the wait before the next attempt, after this number of earlier failures.
fn back_off(failures: u32) -> Millis {
    Millis(RETRY.0 << failures.min(6)).min(LONGEST_RETRY)
}
