//! The session in a store that several vaults share: dedicated workers of several tabs, or a worker that starts after
//! another one has ended.
//!
//! The vaults share a lock too. A vault that changes the store acquires the lock, reads the store, acts, and releases the
//! lock when the store has the state of its memory. If it released the lock earlier, another vault could send a refresh
//! token that is consumed. So if the store cannot be written, the vault keeps the lock and tries again. A vault that
//! hears of a change reads the store without the lock.
//!
//! - `reader`: reading the store, with or without the lock.
//! - `lock`: the lock, and writing.
//! - `tombstone`: the end of a session, which ends it in all vaults.
//! - `activity`: activity of the user, which keeps the session alive in all vaults.
//! - `routing`: the consequences for the session and the other parts.
//!
//! Only configurations with `session.persist` use this; it is part of the Cargo feature `extended`.

mod activity;
mod lock;
pub(super) mod reader;
mod routing;
mod tombstone;

use crate::base::clock::Millis;
use crate::prelude::*;
use crate::vault::context::Context;
use crate::vault::io::PortId;
use crate::vault::login::callback::CompletedLogin;

/// Before reading or writing is tried again.
const RETRY: Millis = Millis::from_secs(1);
const LONGEST_RETRY: Millis = Millis::from_secs(60);

/// The state of persistence.
#[derive(Default)]
pub(super) struct Persistence {
    lock: lock::Lock,
    looks: reader::Looks,
    activity: activity::Activity,
    /// The store has had the session.
    is_known: bool,
    /// The store did not say whether it has the session.
    #[cfg(feature = "extended")]
    may_be_known: bool,
    /// The store may have a refresh token that is consumed.
    is_behind: bool,
    wants_save: bool,
    /// Logins whose session the store does not have yet.
    logins: Vec<CompletedLogin>,
    /// A session that ended here, which the store does not know yet.
    ended: Option<Box<tombstone::Ended>>,
    /// How often something new was wanted, and how often when the last write began: what is wanted
    /// since then is not in it.
    wants: u32,
    wants_when_written: u32,
    failures: u32,
    /// When to try again what could not be written or locked.
    retry_at: Option<Millis>,
}

impl Persistence {
    /// Returns true if the store has this vault's session and takes what this vault writes.
    pub(super) const fn is_in_store(&self, ctx: &Context) -> bool {
        ctx.keeps() && self.is_known && !ctx.is_refused
    }

    /// Returns true if the store loses nothing with this vault.
    pub(super) const fn is_up_to_date(&self, ctx: &Context) -> bool {
        let Persistence {
            lock,
            wants_save,
            ended,
            ..
        } = self;
        !ctx.keeps() || (matches!(lock, lock::Lock::Free) && !*wants_save && ended.is_none())
    }

    pub(super) fn forget_port(&mut self, port: PortId) {
        for login in &mut self.logins {
            login.forget_port(port);
        }
    }

    pub(super) fn due(&self, ctx: &Context) -> Option<Millis> {
        if !ctx.keeps() {
            return None;
        }
        let Persistence {
            retry_at,
            looks,
            activity,
            ..
        } = self;
        let all = [*retry_at, activity.flush_at, looks.retry_at];
        all.into_iter().flatten().min()
    }
}

/// How long to wait after so many failures before this one.
fn back_off(failures: u32) -> Millis {
    Millis(RETRY.0 << failures.min(6)).min(LONGEST_RETRY)
}
