//! The lock that all vaults of one store share.

use crate::context::{Context, Purpose};
use crate::io::{OpId, Output};
use crate::persistence::reader::Reading;
use rules::base::clock::Millis;

/// The longest wait for the lock. The wait is long because another vault may hold the lock during its refresh.
const LOCK_WAIT: Millis = Millis::from_secs(30);

/// The longest wait for the lock while a page waits for a login or logout. A frozen tab, or a script that never
/// releases the lock, may hold it.
const PAGE_LOCK_WAIT: Millis = Millis::from_secs(5);

/// The state of the lock in this vault.
#[derive(Default)]
pub(crate) enum Lock {
    /// This vault neither holds nor requests the lock. Another vault may hold it.
    #[default]
    NotRequested,
    /// This vault waits for the lock.
    Requested(OpId),
    /// This vault holds the lock and reads the store.
    Reading(Reading),
    /// This vault holds the lock, and no read or write is in flight under it.
    Held,
    /// This vault holds the lock and writes to the store.
    Writing(OpId),
}

impl Lock {
    pub(crate) const fn is_not_requested(&self) -> bool {
        matches!(self, Self::NotRequested)
    }

    /// Returns true if this vault holds the lock, and no read or write is in flight under it.
    pub(crate) const fn is_held(&self) -> bool {
        matches!(self, Self::Held)
    }

    /// Returns true if this vault holds the lock and has read the store under it. No other vault can have stored a
    /// refresh or an activity since this read.
    pub(super) const fn has_read(&self) -> bool {
        matches!(self, Self::Held | Self::Writing(_))
    }

    pub(super) const fn is_reading(&self) -> bool {
        matches!(self, Self::Reading(_))
    }

    /// Requests the lock, unless this vault has already requested it or holds it.
    pub(super) fn request(&mut self, ctx: &mut Context) {
        if self.is_not_requested() {
            let deadline = ctx.now.monotonic + LOCK_WAIT;
            let op = ctx.begin_operation(Purpose::Lock, Some(deadline));
            *self = Self::Requested(op);
            ctx.outputs.push(Output::Lock { op });
        }
    }

    /// Shortens the wait for the lock, because a page waits for a login or logout to be stored.
    pub(super) fn shorten_wait(&self, ctx: &mut Context) {
        if let Self::Requested(op) = *self {
            let at = ctx.now.monotonic + PAGE_LOCK_WAIT;
            ctx.shorten_deadline(op, at);
        }
    }
}
