//! What is done under the lock that all vaults over one store share.

use crate::Secret;
use crate::base::clock::Millis;
use crate::session;
use crate::vault::persistence::back_off;
use crate::vault::persistence::reader::{Reading, Stored};
use crate::vault::{OpId, Output, Purpose, Vault};

/// How long the lock is waited for: another vault's refresh may take its time.
const PATIENCE: Millis = Millis::from_secs(30);

/// How long a page's login or logout waits for the lock. Whoever has it may be a tab that is frozen, or somebody who
/// never gives it back.
const PAGE_PATIENCE: Millis = Millis::from_secs(5);

/// The lock, as this vault has it or has it not.
#[derive(Default)]
pub(super) enum Lock {
    #[default]
    Free,
    Asked(OpId),
    /// It is held, and the store is being read.
    Reading(Reading),
    /// It is held, and nothing of the store is under way.
    Held,
    /// It is held, and the store is being written.
    Writing(OpId),
}

impl Vault {
    /// Sees to it that what is wanted is done under the lock.
    pub(in crate::vault) fn want_lock(&mut self) {
        match self.keeper.lock {
            Lock::Free => {
                let deadline = self.ctx.now.monotonic + PATIENCE;
                let op = self.ctx.begin_operation(Purpose::Lock, Some(deadline));
                self.keeper.lock = Lock::Asked(op);
                self.ctx.outputs.push(Output::Lock { op });
            }
            Lock::Held => self.proceed(),
            // What is under way comes to it.
            Lock::Asked(_) | Lock::Reading(_) | Lock::Writing(_) => {}
        }
    }

    /// A page waits for what is to be done under the lock.
    pub(super) fn shorten_wait(&mut self) {
        if let Lock::Asked(asked) = self.keeper.lock {
            let at = self.ctx.now.monotonic + PAGE_PATIENCE;
            self.ctx.shorten_deadline(asked, at);
        }
    }

    /// The lock was granted.
    pub(in crate::vault) fn locked(&mut self) {
        self.keeper.looks.is_old = self.keeper.looks.is_open();
        self.keeper.lock = Lock::Reading(Reading::default());
        // control: store_is_read_before_refresh
        self.load(Purpose::Read);
    }

    /// The lock was not granted in time.
    pub(in crate::vault) fn not_locked(&mut self) {
        self.keeper.lock = Lock::Free;
        if self.end_without_lock() {
            self.refresh_not_locked();
        } else {
            self.try_later();
        }
    }

    /// The store was read under the lock.
    pub(super) fn read(&mut self, stored: Stored) {
        self.keeper.lock = Lock::Held;
        if matches!(stored, Stored::Unavailable) {
            self.store_refused(true);
            if self.refresh.is_queued(&self.ctx) && !self.keeper.is_known {
                // The store never had it, and so has no other vault.
                return self.send_refresh();
            }
            // Who knows what another vault has written there.
            self.try_later();
            self.unlock();
            return self.settle_doubt();
        }
        self.reconcile(stored);
        self.settle_doubt();
        self.proceed();
    }

    /// Does the next thing that needs the lock, or gives it back.
    pub(in crate::vault) fn proceed(&mut self) {
        let is_held = matches!(self.keeper.lock, Lock::Held);
        if !self.ctx.keeps() || !is_held || self.refresh.is_sent() {
            return;
        }
        self.keeper.retry_at = None;
        let is_writable = self.keeper.failures == 0;
        if let Some(ended) = &mut self.keeper.ended {
            let token = ended.token.take();
            let ended = session::ended(&ended.sid, ended.reason, &self.ctx.config);
            if let Some(token) = token {
                self.revoke(&token);
            }
            // control: logout_is_stored
            return self.write(ended);
        }
        if self.refresh.is_queued(&self.ctx) && (!self.keeper.wants_save || !is_writable) {
            return self.send_refresh();
        }
        match &mut self.ctx.session {
            Some(session) if self.keeper.wants_save => {
                // Now that the store's own count is known.
                if core::mem::take(&mut self.keeper.activity.is_new) {
                    session.count_activity();
                    self.keeper.activity.is_counted = true;
                }
                let kept = session.kept(&self.ctx.config, &self.ctx.now);
                self.write(kept);
            }
            _ => self.unlock(),
        }
    }

    fn write(&mut self, state: Secret) {
        let op = self.ctx.begin_limited(Purpose::Write);
        self.keep(op, state);
    }

    /// The refresh token that the store may have is consumed.
    pub(in crate::vault) fn fall_behind(&mut self) {
        self.keeper.is_behind |= self.keeper.is_known;
        #[cfg(feature = "extended")]
        {
            self.keeper.is_behind |= self.keeper.may_be_known;
        }
    }

    /// Asks for `state` to be kept.
    pub(in crate::vault) fn keep(&mut self, op: OpId, state: Secret) {
        self.keeper.lock = Lock::Writing(op);
        self.keeper.wants_when_written = self.keeper.wants;
        let expires_at = self.ctx.kept_until();
        self.ctx.outputs.push(Output::Persist {
            op,
            state: Some(state),
            expires_at,
            #[cfg(feature = "extended")]
            key_pair: self
                .ctx
                .session
                .as_deref()
                .and_then(session::Session::key_name),
        });
    }

    /// The store did not answer in time: what was to be written may land all the same.
    #[cfg(feature = "extended")]
    pub(in crate::vault) const fn not_written(&mut self) {
        self.keeper.may_be_known = true;
    }

    /// The store was written, or could not be.
    pub(in crate::vault) fn written(&mut self, op: OpId, ok: bool) {
        if !matches!(self.keeper.lock, Lock::Writing(written) if written == op) {
            return;
        }
        self.keeper.lock = Lock::Held;
        // What a look that is under way finds may be from before.
        self.keeper.looks.is_old |= self.keeper.looks.is_open();
        self.store_refused(!ok);
        if ok {
            self.activity_written(true);
            self.keeper.failures = 0;
            // Of a reading before that failed: nothing has to be waited for any more.
            self.keeper.retry_at = None;
            self.keeper.is_behind = false;
            #[cfg(feature = "extended")]
            {
                self.keeper.may_be_known = false;
            }
            self.logouts.store_done(&mut self.ctx);
            self.logins_kept();
            if self.keeper.wants == self.keeper.wants_when_written {
                self.keeper.ended = None;
                self.keeper.wants_save = false;
                self.keeper.is_known = self.ctx.session.is_some();
                self.hints.sign_out_stored();
            }
            self.ctx.outputs.push(Output::Announce);
        } else {
            self.keeper.wants_save |= self.ctx.session.is_some();
            self.try_later();
            // As long as what the store has is not consumed, others may go on from that.
            // control: lock_is_held_until_stored
            if !self.keeper.is_behind && self.keeper.ended.is_none() {
                self.activity_written(false);
                self.unlock();
            }
        }
    }

    /// Tells pages whether their session is kept, where that has changed.
    fn store_refused(&mut self, is_refused: bool) {
        if self.ctx.is_refused != is_refused {
            self.ctx.is_refused = is_refused;
            if self.ctx.session.is_some() {
                self.ctx.broadcast_session();
            }
        }
    }

    /// After [`Vault::written`]: goes on, unless it has to be tried again first.
    pub(in crate::vault) fn proceed_after_writing(&mut self) {
        if self.keeper.retry_at.is_none() || self.refresh.is_queued(&self.ctx) {
            self.proceed();
        }
    }

    pub(super) fn try_later(&mut self) {
        self.hints.sign_out_not_stored(&mut self.ctx);
        let wait = back_off(self.keeper.failures);
        self.keeper.failures += 1;
        self.logouts.store_done(&mut self.ctx);
        self.logins_kept();
        let is_wanted = self.keeper.wants_save || self.keeper.ended.is_some();
        self.keeper.retry_at = is_wanted.then(|| self.ctx.now.monotonic + wait);
        self.refresh_not_locked();
    }

    fn unlock(&mut self) {
        self.keeper.lock = Lock::Free;
        self.ctx.outputs.push(Output::Unlock);
        if core::mem::take(&mut self.keeper.looks.after_lock) {
            self.look();
        }
    }
}
