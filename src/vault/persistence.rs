//! One session in several vaults: in the dedicated workers of several tabs, or in a worker that starts
//! after another one has gone.
//!
//! Vaults share a store and a lock. Whoever changes what is kept takes the lock, reads the store, acts,
//! and gives the lock back when the store has what memory has: not before, or another vault would send
//! a refresh token that is consumed. Where the store cannot be written, the lock is therefore kept, and
//! writing is tried again. A vault that is told of a change reads the store without the lock.
//!
//! - `look`: how the store is read, with the lock or without.
//! - `lock`: what is done under the lock.
//! - `meet`: what this vault holds and what the store has are brought together.
//! - `end`: a session that ended here ends for all.
//! - `activity`: what the user does here keeps the session alive elsewhere, and the other way round.
//!
//! Only configurations with `session.persist` ask for this; it is part of the Cargo feature `extended`.

mod activity;
mod lock;
mod merge;
pub(super) mod reader;
mod tombstone;

use crate::base::clock::Millis;
use crate::prelude::*;
use crate::vault::Vault;
use crate::vault::context::Context;
use crate::vault::io::PortId;
use crate::vault::login::callback::CompletedLogin;

/// Before reading or writing is tried again.
const RETRY: Millis = Millis::from_secs(1);
const LONGEST_RETRY: Millis = Millis::from_secs(60);

pub use reader::Loaded;

/// The vault's part in what is kept.
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

impl Vault {
    /// There is a new session, which the store has to know.
    pub(super) fn save(&mut self) {
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
    pub(super) fn settle_when_kept(&mut self, login: CompletedLogin) {
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

    pub(super) fn keep_on_time(&mut self) {
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
}

/// How long to wait after so many failures before this one.
fn back_off(failures: u32) -> Millis {
    Millis(RETRY.0 << failures.min(6)).min(LONGEST_RETRY)
}
