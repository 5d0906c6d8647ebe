//! Work under the lock that all vaults over one store share.

use crate::Secret;
use crate::base::clock::Millis;
use crate::vault::context::Context;
use crate::vault::context::Purpose;
use crate::vault::io::{OpId, Output};
use crate::vault::persistence::Persistence;
use crate::vault::persistence::reader::Reading;

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
    pub(super) fn request_lock(&mut self, ctx: &mut Context) -> bool {
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
            key_pair: ctx
                .session
                .as_deref()
                .and_then(crate::session::Session::key_name),
        });
    }

    pub(super) fn write(&mut self, ctx: &mut Context, state: Secret) {
        let op = ctx.begin_limited(Purpose::Write);
        self.keep(ctx, op, state);
    }

    /// The store did not answer in time: what was to be written may land all the same.
    #[cfg(feature = "extended")]
    pub(in crate::vault) const fn not_written(&mut self) {
        self.may_be_known = true;
    }

    pub(super) fn unlock(&mut self, ctx: &mut Context) {
        self.lock = Lock::Free;
        ctx.outputs.push(Output::Unlock);
        if core::mem::take(&mut self.looks.after_lock) {
            self.look(ctx);
        }
    }
}
