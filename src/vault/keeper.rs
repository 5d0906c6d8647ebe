//! One session in several vaults: in the dedicated workers of several tabs, or in a worker that starts
//! after another one has gone.
//!
//! Vaults share a store and a lock. Whoever changes what is kept takes the lock, reads the store, acts,
//! and gives the lock back when the store has what memory has: not before, or another vault would send
//! a refresh token that is consumed. Where the store cannot be written, the lock is therefore kept, and
//! writing is tried again. A vault that is told of a change reads the store without the lock.
//!
//! Only configurations with `session.persist` ask for this; it is part of the Cargo feature `full`.

use super::calls::Waiters;
use super::{OpId, Output, PortId, Purpose, Vault};
use crate::authorize::Pending;
use crate::clock::{Instant, Millis};
use crate::error::{Code, Error};
use crate::prelude::*;
use crate::session::{self, EndReason, Kept, Session};
use crate::{Secret, base64url};

/// Whether this build can keep sessions. Where it is false, the compiler drops whatever is done only for
/// those that are kept.
pub(super) const IS_BUILT_IN: bool = cfg!(feature = "full");

/// How long the lock is waited for: another vault's refresh may take its time.
const LOCK_PATIENCE: Millis = Millis::from_secs(30);

/// How long a page's login or logout waits for the lock. Whoever has it may be a tab that is frozen, or somebody who
/// never gives it back: after that the end is written without it, and again once the lock is there.
const PAGE_PATIENCE: Millis = Millis::from_secs(5);

/// How long a look at the store may take: a page waits for the first one.
const LOOK_PATIENCE: Millis = Millis::from_secs(3);

/// Activity of the user is kept so long after it happened, unless something else is kept before.
const ACTIVITY_DELAY: Millis = Millis::from_secs(15);

/// Before writing is tried again.
const RETRY: Millis = Millis::from_secs(1);
const LONGEST_RETRY: Millis = Millis::from_secs(60);

/// What was found in the store.
#[derive(Clone, Debug)]
pub enum Loaded {
    /// What was persisted last.
    Found(Secret),
    /// Nothing ever was, or it was cleared.
    Nothing,
    /// Something that does not open.
    Damaged,
    /// The store does not work.
    Unavailable,
}

/// The vault's part in what is kept.
#[derive(Default)]
pub(super) struct Keeper {
    lock: Lock,
    /// The lock was not to be had, and a logout is written without it.
    is_forced: bool,
    /// A look at the store without the lock.
    look: Option<OpId>,
    /// There was a change while that look was under way.
    look_again: bool,
    /// The lock was this vault's while that look was under way: what it finds may be older than what
    /// was read or written under the lock.
    look_is_old: bool,
    /// When to look again, since the store did not work, and how often that was so.
    look_at: Option<Millis>,
    looks_failed: u32,
    /// The store was looked at; until then no page is greeted.
    is_loaded: bool,
    /// The store has had the session.
    is_known: bool,
    /// The store may have a refresh token that is consumed.
    is_behind: bool,
    wants_save: bool,
    /// Logins whose session the store does not have yet.
    logins: Vec<Login>,
    /// A session that ended here, which the store does not know yet.
    ended: Option<Box<Ended>>,
    /// How often something new was wanted, and how often when the last write began: what is wanted
    /// since then is not in it.
    wants: u32,
    wants_when_written: u32,
    failures: u32,
    /// When to try again what could not be written or locked.
    retry_at: Option<Millis>,
    /// When activity is kept at the latest.
    flush_at: Option<Millis>,
    /// There is activity to be kept.
    has_activity: bool,
    /// The idle limit is reached as far as this vault knows: another one may know better.
    is_in_doubt: bool,
}

/// A login that is through, and whose page is still to be told.
pub(super) struct Login {
    pub(super) page: Option<(PortId, u64)>,
    pub(super) key: String,
    pub(super) pending: Box<Pending>,
}

/// A session that ended here.
struct Ended {
    sid: String,
    generation: u64,
    reason: EndReason,
    /// What to revoke under the lock: a limit ends the session in all vaults at once, and one of them is
    /// enough.
    token: Option<Secret>,
    /// How often activity had been kept, as far as this vault knew.
    touches: u64,
    /// When it ended.
    at: Instant,
    /// Whether the store had it: else what the store has is older.
    was_known: bool,
}

#[derive(Default, PartialEq, Eq)]
enum Lock {
    #[default]
    Free,
    Asked(OpId),
    /// It is held, and the store is being read.
    Reading(OpId),
    /// It is held, and nothing of the store is under way.
    Held,
    /// It is held, and the store is being written.
    Writing(OpId),
}

impl Vault {
    /// Whether sessions are kept.
    pub(super) const fn keeps(&self) -> bool {
        IS_BUILT_IN && self.config.keeps
    }

    /// A number for a new session.
    pub(super) fn new_sid(&mut self) -> String {
        if !self.keeps() {
            return String::new();
        }
        let mut octets = [0; 16];
        self.entropy.fill(&mut octets);
        base64url::encode(&octets)
    }

    /// With the first input: the store may have a session.
    pub(super) fn begin_keeping(&mut self) {
        if self.keeps() && !self.keeper.is_loaded {
            self.look();
        }
    }

    /// Whether pages have to wait for what the store has.
    pub(super) const fn is_loading(&self) -> bool {
        self.keeps() && !self.keeper.is_loaded
    }

    /// Whether calls have to wait until it is known if the session is still alive.
    pub(super) const fn is_in_doubt(&self) -> bool {
        self.keeps() && self.keeper.is_in_doubt
    }

    /// Another vault has changed what is kept.
    pub(super) fn changed_elsewhere(&mut self) {
        if self.keeps() && matches!(self.keeper.lock, Lock::Free | Lock::Asked(_)) {
            self.keeper.look_again = self.keeper.look.is_some();
            self.look();
        } else if self.keeps() && self.refresh_is_sent() {
            // A logout does not wait for ever: see `PAGE_PATIENCE`.
            self.look();
        }
    }

    /// Under the lock, while the provider is asked: only a logout may have been written.
    fn heed_logout(&mut self, loaded: &Loaded) {
        if let Loaded::Found(text) = loaded
            && let Some(Kept::Ended(sid, EndReason::LoggedOut)) =
                session::restore(text.expose(), &self.config, &self.now)
            && self.session.as_ref().is_some_and(|ours| ours.sid() == sid)
        {
            self.end_elsewhere(EndReason::LoggedOut);
            self.proceed();
        }
    }

    fn look(&mut self) {
        if self.keeper.look.is_none() {
            let deadline = self.now.monotonic + LOOK_PATIENCE;
            let op = self.begin_operation(Purpose::Look, Some(deadline));
            self.keeper.look = Some(op);
            self.outputs.push(Output::Load { op });
        }
    }

    /// The store was looked at without the lock.
    pub(super) fn looked(&mut self, loaded: &Loaded) {
        self.keeper.look = None;
        let was_loading = self.is_loading();
        if !core::mem::take(&mut self.keeper.look_is_old) {
            // Under the lock it is this vault that knows best.
            if matches!(self.keeper.lock, Lock::Free | Lock::Asked(_)) {
                self.reconcile(loaded);
            } else if self.keeper.lock == Lock::Held {
                self.heed_logout(loaded);
            }
            self.settle_doubt();
        }
        self.keeper.look_at = None;
        if core::mem::take(&mut self.keeper.look_again) {
            self.changed_elsewhere();
        } else if matches!(loaded, Loaded::Unavailable) {
            self.keeper.look_at = Some(self.now.monotonic + back_off(self.keeper.looks_failed));
            self.keeper.looks_failed += 1;
        }
        if was_loading {
            for i in 0..self.ports.len() {
                self.greet(self.ports[i]);
            }
        }
        self.keeper.is_loaded = true;
    }

    /// Idle or not: now it is known.
    fn settle_doubt(&mut self) {
        let was_in_doubt = core::mem::take(&mut self.keeper.is_in_doubt);
        let limits = &self.config.limits;
        let session = self.session.as_ref();
        if let Some(reason) = session.and_then(|s| s.limit_reached(limits, &self.now)) {
            self.end_session(reason);
        } else if was_in_doubt {
            self.resume_calls();
        }
    }

    /// Whether the session's end has to wait for a look at the store.
    pub(super) fn doubts(&mut self, reason: EndReason) -> bool {
        // Under the lock, once the store was read, nobody else can know of anything later.
        let knows_all = matches!(self.keeper.lock, Lock::Held | Lock::Writing(_));
        if !self.keeps() || reason != EndReason::Idle || !self.keeper.is_known || knows_all {
            return false;
        }
        self.keeper.is_in_doubt = true;
        if !matches!(self.keeper.lock, Lock::Reading(_)) {
            self.look();
        }
        true
    }

    /// Whether a look at the store is about to tell if the session is still alive.
    pub(super) fn awaits_verdict(&self) -> bool {
        let is_looking = self.keeper.look.is_some() || matches!(self.keeper.lock, Lock::Reading(_));
        self.is_in_doubt() && is_looking
    }

    /// The user did something.
    pub(super) fn note_activity(&mut self) {
        if self.keeps() && self.keeper.flush_at.is_none() {
            self.keeper.flush_at = Some(self.now.monotonic + ACTIVITY_DELAY);
        }
    }

    /// There is a new session, which the store has to know.
    pub(super) fn save(&mut self) {
        if self.keeps() {
            self.keeper.wants += 1;
            self.keeper.wants_save = true;
            self.keeper.is_known = false;
            self.keeper.ended = None;
            self.logouts_kept();
            self.want_lock();
        }
    }

    /// A session ended here, and has to end elsewhere.
    pub(super) fn note_end(&mut self, session: &Session, reason: EndReason, token: Option<Secret>) {
        if self.keeps() {
            self.keeper.wants += 1;
            self.keeper.wants_save = false;
            self.keeper.ended = Some(Box::new(Ended {
                sid: session.sid().to_owned(),
                generation: session.generation(),
                reason,
                token,
                touches: session.touches(),
                at: self.now,
                was_known: self.keeper.is_known,
            }));
            self.want_lock();
            self.logins_kept();
            if reason == EndReason::LoggedOut {
                self.shorten_wait();
            }
        }
    }

    /// A page waits for what is to be done under the lock.
    fn shorten_wait(&mut self) {
        if let Lock::Asked(asked) = self.keeper.lock {
            let at = self.now.monotonic + PAGE_PATIENCE;
            if let Some(operation) = self.operations.iter_mut().find(|o| o.op == asked) {
                operation.deadline = operation.deadline.map(|deadline| deadline.min(at));
            }
        }
    }

    /// Answers a login when the store has its session: the page is likely to go away then, and a worker
    /// of its own with it.
    pub(super) fn settle_when_kept(&mut self, login: Login) {
        if self.keeps() && self.keeper.wants_save {
            self.keeper.logins.push(login);
            self.shorten_wait();
        } else {
            self.settle_login(&login);
        }
    }

    /// The store has the session, or cannot have it for the time being.
    fn logins_kept(&mut self) {
        for login in core::mem::take(&mut self.keeper.logins) {
            self.settle_login(&login);
        }
    }

    pub(super) fn forget_logins_of(&mut self, port: PortId) {
        for login in &mut self.keeper.logins {
            login.page = login.page.filter(|(page, _)| *page != port);
        }
    }

    /// Whether the store is still to be told of an end.
    pub(super) fn has_end_to_keep(&self) -> bool {
        self.keeps() && self.keeper.ended.is_some()
    }

    /// Sees to it that what is wanted is done under the lock.
    pub(super) fn want_lock(&mut self) {
        match self.keeper.lock {
            Lock::Free => {
                let deadline = self.now.monotonic + LOCK_PATIENCE;
                let op = self.begin_operation(Purpose::Lock, Some(deadline));
                self.keeper.lock = Lock::Asked(op);
                self.outputs.push(Output::Lock { op });
            }
            Lock::Held => self.proceed(),
            // What is under way comes to it.
            Lock::Asked(_) | Lock::Reading(_) | Lock::Writing(_) => {}
        }
    }

    /// The lock was granted.
    pub(super) fn locked(&mut self) {
        self.keeper.look_is_old = self.keeper.look.is_some();
        let op = self.begin_limited(Purpose::Read);
        self.keeper.lock = Lock::Reading(op);
        self.outputs.push(Output::Load { op });
    }

    /// The lock was not granted in time.
    pub(super) fn not_locked(&mut self) {
        self.keeper.lock = Lock::Free;
        let ended = self.keeper.ended.as_ref();
        if ended.is_some_and(|ended| ended.reason == EndReason::LoggedOut) {
            self.refresh_not_locked();
            self.keeper.is_forced = true;
            return self.locked();
        }
        // A limit that cannot be told of is none the less reached.
        let ended = self.keeper.ended.as_mut();
        if let Some(token) = ended.and_then(|ended| ended.token.take()) {
            self.revoke(&token);
        }
        self.try_later();
    }

    /// The store was read under the lock.
    pub(super) fn read(&mut self, loaded: &Loaded) {
        self.keeper.lock = Lock::Held;
        if matches!(loaded, Loaded::Unavailable) {
            if self.refresh_is_queued() && !self.keeper.is_known {
                // The store never had it, and so has no other vault.
                return self.send_refresh();
            }
            // Who knows what another vault has written there.
            self.try_later();
            return self.unlock();
        }
        self.reconcile(loaded);
        self.settle_doubt();
        if self.keeper.lock == Lock::Held {
            self.proceed();
        }
    }

    /// Does the next thing that needs the lock, or gives it back.
    pub(super) fn proceed(&mut self) {
        if !self.keeps() || self.keeper.lock != Lock::Held || self.refresh_is_sent() {
            return;
        }
        if self.keeper.is_forced && self.keeper.ended.is_none() {
            self.unlock();
            if self.keeper.wants_save || self.refresh_is_queued() {
                self.want_lock();
            }
            return;
        }
        self.keeper.retry_at = None;
        let is_writable = self.keeper.failures == 0;
        if let Some(ended) = &mut self.keeper.ended {
            let token = ended.token.take();
            let ended = session::ended(&ended.sid, ended.reason, &self.config);
            if let Some(token) = token {
                self.revoke(&token);
            }
            return self.write(ended);
        }
        if self.refresh_is_queued() && (!self.keeper.wants_save || !is_writable) {
            return self.send_refresh();
        }
        match &mut self.session {
            Some(session) if self.keeper.wants_save => {
                // Now that the store's own count is known.
                if core::mem::take(&mut self.keeper.has_activity) {
                    session.count_activity();
                }
                let kept = session.kept(&self.config, &self.now);
                self.write(kept);
            }
            _ => self.unlock(),
        }
    }

    fn write(&mut self, state: Secret) {
        let op = self.begin_limited(Purpose::Write);
        self.keep(op, state);
    }

    /// The refresh token that the store may have is consumed.
    pub(super) fn fall_behind(&mut self) {
        self.keeper.is_behind |= self.keeper.is_known;
    }

    /// Asks for `state` to be kept.
    pub(super) fn keep(&mut self, op: OpId, state: Secret) {
        self.keeper.lock = Lock::Writing(op);
        self.keeper.wants_when_written = self.keeper.wants;
        let expires_at = self.now.wall.saturating_add(self.config.limits.absolute.0);
        self.outputs.push(Output::Persist {
            op,
            state: Some(state),
            expires_at,
        });
    }

    /// The store was written, or could not be.
    pub(super) fn written(&mut self, op: OpId, ok: bool) {
        if self.keeper.lock != Lock::Writing(op) {
            return;
        }
        self.keeper.lock = Lock::Held;
        if ok {
            self.keeper.failures = 0;
            self.keeper.is_behind = false;
            self.logouts_kept();
            self.logins_kept();
            if self.keeper.is_forced {
                // Whoever has the lock may write after this.
                self.try_later();
                self.unlock();
            } else if self.keeper.wants == self.keeper.wants_when_written {
                self.keeper.ended = None;
                self.keeper.wants_save = false;
                self.keeper.is_known = self.session.is_some();
            }
            self.outputs.push(Output::Announce);
        } else {
            self.keeper.wants_save |= self.session.is_some();
            self.try_later();
            // As long as what the store has is not consumed, others may go on from that.
            let is_behind = self.keeper.is_behind || self.keeper.ended.is_some();
            if self.keeper.is_forced || !is_behind {
                self.unlock();
            }
        }
    }

    /// After [`Vault::written`]: goes on, unless it has to be tried again first.
    pub(super) fn proceed_after_writing(&mut self) {
        if self.keeper.retry_at.is_none() || self.refresh_is_queued() {
            self.proceed();
        }
    }

    fn try_later(&mut self) {
        let wait = back_off(self.keeper.failures);
        self.keeper.failures += 1;
        self.logouts_kept();
        self.logins_kept();
        let is_wanted = self.keeper.wants_save || self.keeper.ended.is_some();
        self.keeper.retry_at = is_wanted.then(|| self.now.monotonic + wait);
        self.refresh_not_locked();
    }

    fn unlock(&mut self) {
        self.keeper.lock = Lock::Free;
        if !core::mem::take(&mut self.keeper.is_forced) {
            self.outputs.push(Output::Unlock);
        }
    }

    pub(super) fn keeper_due(&self) -> Option<Millis> {
        if !self.keeps() {
            return None;
        }
        let Keeper {
            retry_at,
            flush_at,
            look_at,
            ..
        } = self.keeper;
        [retry_at, flush_at, look_at].into_iter().flatten().min()
    }

    pub(super) fn keep_on_time(&mut self) {
        if self.keeper_due().is_none_or(|at| at > self.now.monotonic) {
            return;
        }
        let is_over = |at: &mut Millis| *at <= self.now.monotonic;
        if self.keeper.look_at.take_if(is_over).is_some() {
            self.look();
        }
        self.keeper.retry_at = None;
        if self.keeper.flush_at.take().is_some() && self.session.is_some() {
            self.keeper.has_activity = true;
            self.keeper.wants += 1;
            self.keeper.wants_save = true;
        }
        if self.keeper.wants_save || self.keeper.ended.is_some() {
            self.want_lock();
        }
    }

    /// Brings together what this vault holds and what the store has.
    fn reconcile(&mut self, loaded: &Loaded) {
        let kept = match loaded {
            Loaded::Found(text) => session::restore(text.expose(), &self.config, &self.now),
            Loaded::Nothing | Loaded::Damaged => None,
            Loaded::Unavailable => return self.miss_store(),
        };
        match kept {
            Some(Kept::Session(theirs)) => self.meet(*theirs),
            Some(Kept::Ended(sid, reason)) => {
                let ours = self.session.as_ref().map(Session::sid);
                if ours.is_none() {
                    self.end_reason.get_or_insert(reason);
                    let is_same = |ended: &mut Box<Ended>| ended.sid == sid;
                    self.keeper.ended.take_if(is_same);
                } else if ours == Some(sid.as_str()) || self.keeper.is_known {
                    self.end_elsewhere(reason);
                    if reason == EndReason::LoggedOut {
                        self.cancel_callbacks();
                    }
                }
            }
            // It was cleared or replaced: who knows which refresh token is the last.
            None if self.keeper.is_known => self.end_elsewhere(EndReason::StorageLost),
            None if matches!(loaded, Loaded::Nothing) => {}
            None => self.miss_store(),
        }
        if !self.has_end_to_keep() {
            self.logouts_kept();
        }
    }

    /// What might have been there is not to be had. What this vault holds goes on.
    fn miss_store(&mut self) {
        if self.session.is_none() {
            self.end_reason.get_or_insert(EndReason::StorageLost);
        }
    }

    /// The store has a session.
    fn meet(&mut self, mut theirs: Session) {
        self.config.rules.forbid_too(theirs.take_endpoints());
        if self.is_over(&theirs) {
            return;
        }
        match &mut self.session {
            Some(ours) if ours.sid() == theirs.sid() => {
                self.keeper.is_known = true;
                if theirs.generation() <= ours.generation() {
                    return ours.hear_of_activity(&theirs, &self.now);
                }
                theirs.share_activity(ours, &self.now);
                self.session = Some(theirs);
                self.abandon_refresh();
                self.trace_generation("refresh_completed");
            }
            // Begun here after the one in the store.
            Some(_) if !self.keeper.is_known => return,
            _ => {
                self.keeper.is_known = true;
                self.replace_session(theirs);
                self.trace_generation("session_restored");
            }
        }
        self.broadcast_session();
        let has_token = |s: &Session| s.access_token(&self.now).is_some();
        if self.session.as_ref().is_some_and(has_token) {
            self.release_calls();
        } else {
            self.resume_calls();
        }
    }

    /// Whether the end of a session here is the end of the one in the store, too. If not, the store has
    /// moved on, and nothing is left to be said there of that end.
    fn is_over(&mut self, theirs: &Session) -> bool {
        let Some(mut ended) = self.keeper.ended.take() else {
            return false;
        };
        let is_same = ended.sid == theirs.sid();
        let is_over = if is_same {
            // Nobody was active as far as this vault knew: see `Session::hear_of_activity`.
            let is_news =
                theirs.touches() > ended.touches || theirs.generation() > ended.generation;
            let limit = theirs.limit_reached(&self.config.limits, &self.now);
            ended.reason != EndReason::Idle || !is_news || limit.is_some()
        } else {
            !theirs.began_after(&ended.at, &self.now)
                && (ended.reason == EndReason::LoggedOut || !ended.was_known)
        };
        if !is_over {
            if let Some(token) = ended.token.filter(|_| !is_same) {
                self.revoke(&token);
            }
            return false;
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
        self.keeper.ended = Some(ended);
        true
    }

    fn end_elsewhere(&mut self, reason: EndReason) {
        if self.close_session(reason).is_some() {
            self.keeper.is_known = false;
            self.keeper.wants_save = false;
            self.logins_kept();
        }
    }

    /// Waiting calls whose session was taken over are not sent in the name of another user.
    pub(super) fn replace_session(&mut self, session: Session) -> Option<Secret> {
        let mut orphaned = None;
        if let Some(before) = self.session.take()
            && before.original().subject() != session.original().subject()
        {
            let successor = self.end_refresh();
            let error = Error::new(Code::SessionEnded, words!("another user has signed in"));
            self.give_up_calls(Waiters::SessionEnded, &error);
            orphaned = successor.or(before.refresh_token().cloned());
        }
        self.abandon_refresh();
        self.orphan_calls();
        #[cfg(feature = "full")]
        self.close_sockets(None);
        self.session = Some(session);
        self.end_reason = None;
        orphaned
    }
}

/// How long to wait after so many failures before this one.
fn back_off(failures: u32) -> Millis {
    Millis(RETRY.0 << failures.min(6)).min(LONGEST_RETRY)
}
