//! Work under the lock that all vaults over one store share.

use crate::Secret;
use crate::base::clock::Millis;
use crate::session;
use crate::vault::context::Context;
use crate::vault::persistence::Persistence;
use crate::vault::persistence::back_off;
use crate::vault::persistence::reader::{Reading, Stored, load};
use crate::vault::{OpId, Output, Purpose, Vault};

/// Longest wait for the lock: another vault's refresh may take long.
const PATIENCE: Millis = Millis::from_secs(30);

/// Longest wait of a page's login or logout for the lock. A frozen tab may hold it, or a script that never releases
/// it.
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

impl Persistence {
    /// Requests the lock. Returns true if this vault has it and can proceed.
    fn request_lock(&mut self, ctx: &mut Context) -> bool {
        if matches!(self.lock, Lock::Free) {
            let deadline = ctx.now.monotonic + PATIENCE;
            let op = ctx.begin_operation(Purpose::Lock, Some(deadline));
            self.lock = Lock::Asked(op);
            ctx.outputs.push(Output::Lock { op });
        }
        // If the lock was requested, or the store is being read or written, the vault proceeds after that.
        matches!(self.lock, Lock::Held)
    }

    /// A page waits for what is to be done under the lock.
    pub(super) fn shorten_wait(&mut self, ctx: &mut Context) {
        if let Lock::Asked(asked) = self.lock {
            let at = ctx.now.monotonic + PAGE_PATIENCE;
            ctx.shorten_deadline(asked, at);
        }
    }

    /// The refresh token that the store may have is consumed.
    pub(in crate::vault) fn fall_behind(&mut self) {
        self.is_behind |= self.is_known;
        #[cfg(feature = "extended")]
        {
            self.is_behind |= self.may_be_known;
        }
    }

    /// Asks for `state` to be kept.
    pub(in crate::vault) fn keep(&mut self, ctx: &mut Context, op: OpId, state: Secret) {
        self.lock = Lock::Writing(op);
        self.wants_when_written = self.wants;
        let expires_at = ctx.kept_until();
        ctx.outputs.push(Output::Persist {
            op,
            state: Some(state),
            expires_at,
            #[cfg(feature = "extended")]
            key_pair: ctx.session.as_deref().and_then(session::Session::key_name),
        });
    }

    fn write(&mut self, ctx: &mut Context, state: Secret) {
        let op = ctx.begin_limited(Purpose::Write);
        self.keep(ctx, op, state);
    }

    /// The store did not answer in time: what was to be written may land all the same.
    #[cfg(feature = "extended")]
    pub(in crate::vault) const fn not_written(&mut self) {
        self.may_be_known = true;
    }

    fn unlock(&mut self, ctx: &mut Context) {
        self.lock = Lock::Free;
        ctx.outputs.push(Output::Unlock);
        if core::mem::take(&mut self.looks.after_lock) {
            self.look(ctx);
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

impl Vault {
    /// Asks for the lock, or does what is wanted if this vault has it.
    pub(in crate::vault) fn want_lock(&mut self) {
        if self.persistence.request_lock(&mut self.ctx) {
            self.proceed();
        }
    }

    /// Reads the store: the lock was granted.
    pub(in crate::vault) fn locked(&mut self) {
        self.persistence.looks.is_old = self.persistence.looks.is_open();
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
    pub(super) fn read(&mut self, stored: Stored) {
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
        self.persistence.looks.is_old |= self.persistence.looks.is_open();
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

    pub(super) fn try_later(&mut self) {
        self.hints.sign_out_not_stored(&mut self.ctx);
        let wait = back_off(self.persistence.failures);
        self.persistence.failures += 1;
        self.logouts.store_done(&mut self.ctx);
        self.logins_kept();
        let is_wanted = self.persistence.wants_save || self.persistence.ended.is_some();
        self.persistence.retry_at = is_wanted.then(|| self.ctx.now.monotonic + wait);
        self.refresh_not_locked();
    }
}
