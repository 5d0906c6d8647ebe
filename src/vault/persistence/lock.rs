//! The lock that all vaults of one store share.

use crate::context::{Context, Purpose};
use crate::io::{OpId, Output};
use crate::persistence::reader::Reading;
use rules::base::clock::Millis;

/// After this time under the lock, a vault sends no refresh token: another vault may soon take the lock over.
pub(super) const SENT_WITHIN: Millis = Millis::from_secs(5);

/// The time limit for the attempt to take the lock over.
const TAKE_OVER_LIMIT: Millis = Millis::from_secs(5);

/// The longest wait for the lock while a page waits for a login or logout. A frozen tab, or a script that never
/// releases the lock, may hold it.
const PAGE_LOCK_WAIT: Millis = Millis::from_secs(5);

/// The state of the lock in this vault.
#[derive(Default)]
pub(crate) enum Lock {
    /// This vault neither holds nor requests the lock. Another vault may hold it.
    #[default]
    NotRequested,
    /// This vault waits for the lock. At this time, it tries to take the lock over.
    Requested(OpId, Millis),
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

    /// Returns true if `op` is the write in flight under the lock.
    pub(crate) fn is_writing(&self, op: OpId) -> bool {
        matches!(self, Self::Writing(written) if *written == op)
    }

    pub(super) const fn is_reading(&self) -> bool {
        matches!(self, Self::Reading(_))
    }

    /// Requests the lock, unless this vault has already requested it or holds it.
    pub(super) fn request(&mut self, ctx: &mut Context) {
        if self.is_not_requested() {
            let (now, patience) = (ctx.now.monotonic, patience(ctx));
            let deadline = now + patience + TAKE_OVER_LIMIT;
            let op = ctx.begin_operation(Purpose::Lock, Some(deadline));
            *self = Self::Requested(op, now + patience);
            ctx.outputs.push(Output::Lock { op });
        }
    }

    /// Returns the time at which this vault tries to take the lock over.
    pub(super) const fn take_over_due(&self) -> Option<Millis> {
        match self {
            Self::Requested(_, at) => Some(*at),
            _ => None,
        }
    }

    /// Tries to take the lock over if it is time. A holder whose page is frozen cannot release the lock. Its refresh
    /// request has ended by now (see [`SENT_WITHIN`]), so if this vault sends the same refresh token, it repeats it as after
    /// a lost response.
    pub(super) fn take_over(&mut self, ctx: &mut Context) {
        if let Self::Requested(_, at) = self
            && *at <= ctx.now.monotonic
        {
            // There is one attempt for each request.
            *at = Millis::MAX;
            ctx.outputs.push(Output::TakeOver);
        }
    }

    /// Shortens the wait for the lock, because a page waits for a login or logout to be stored.
    pub(super) fn shorten_wait(&self, ctx: &mut Context) {
        if let Self::Requested(op, _) = *self {
            let at = ctx.now.monotonic + PAGE_LOCK_WAIT;
            ctx.shorten_deadline(op, at);
        }
    }
}

/// Returns the time after which a vault tries to take the lock over. By then, the refresh request of the holder has ended.
fn patience(ctx: &Context) -> Millis {
    ctx.config.flow.refresh_timeout + SENT_WITHIN
}
