//! The lock that all vaults over one store share.

use crate::base::clock::Millis;
use crate::vault::context::{Context, Purpose};
use crate::vault::io::{OpId, Output};
use crate::vault::persistence::reader::Reading;

/// Longest wait for the lock: another vault's refresh may take long.
const LOCK_WAIT: Millis = Millis::from_secs(30);

/// Longest wait of a page's login or logout for the lock. A frozen tab may hold it, or a script that never releases
/// it.
const PAGE_LOCK_WAIT: Millis = Millis::from_secs(5);

/// The state of the lock in this vault.
#[derive(Default)]
pub(in crate::vault) enum Lock {
    #[default]
    Free,
    Requested(OpId),
    /// The lock is held, and the store is being read.
    Reading(Reading),
    /// The lock is held, and no operation of the store is in flight.
    Held,
    /// The lock is held, and the store is being written.
    Writing(OpId),
}

impl Lock {
    pub(in crate::vault) const fn is_free(&self) -> bool {
        matches!(self, Self::Free)
    }

    /// Returns true if this vault has the lock and can proceed. If the store is being read or written, the vault
    /// proceeds after that.
    pub(in crate::vault) const fn is_held(&self) -> bool {
        matches!(self, Self::Held)
    }

    /// Returns true if the store was read under the lock: no other vault can know of anything later.
    pub(super) const fn has_read(&self) -> bool {
        matches!(self, Self::Held | Self::Writing(_))
    }

    pub(super) const fn is_reading(&self) -> bool {
        matches!(self, Self::Reading(_))
    }

    /// Requests the lock, unless it was requested before.
    pub(super) fn request(&mut self, ctx: &mut Context) {
        if self.is_free() {
            let deadline = ctx.now.monotonic + LOCK_WAIT;
            let op = ctx.begin_operation(Purpose::Lock, Some(deadline));
            *self = Self::Requested(op);
            ctx.outputs.push(Output::Lock { op });
        }
    }

    /// Shortens the wait for the lock: a page waits for work under it.
    pub(super) fn shorten_wait(&self, ctx: &mut Context) {
        if let Self::Requested(op) = *self {
            let at = ctx.now.monotonic + PAGE_LOCK_WAIT;
            ctx.shorten_deadline(op, at);
        }
    }
}
