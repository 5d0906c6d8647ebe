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
mod reader;
mod tombstone;

use crate::base::clock::Millis;
use crate::codec::base64url;
use crate::oauth::authorization_request::Pending;
use crate::prelude::*;
use crate::vault::{PortId, Vault};

/// Whether this build can keep sessions. Where it is false, the compiler drops whatever is done only for
/// those that are kept.
pub(super) const IS_BUILT_IN: bool = cfg!(feature = "extended");

/// Before reading or writing is tried again.
const RETRY: Millis = Millis::from_secs(1);
const LONGEST_RETRY: Millis = Millis::from_secs(60);

pub use reader::Loaded;

/// The vault's part in what is kept.
#[derive(Default)]
pub(super) struct Keeper {
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
    logins: Vec<Login>,
    /// A session that ended here, which the store does not know yet.
    ended: Option<Box<tombstone::Ended>>,
    /// How often something new was wanted, and how often when the last write began: what is wanted
    /// since then is not in it.
    wants: u32,
    wants_when_written: u32,
    failures: u32,
    /// The store did not take what was last written.
    is_refused: bool,
    /// When to try again what could not be written or locked.
    retry_at: Option<Millis>,
}

/// A login that is through, and whose page is still to be told.
pub(super) struct Login {
    pub(super) page: Option<(PortId, u64)>,
    pub(super) key: String,
    pub(super) pending: Box<Pending>,
}

impl Vault {
    /// Whether sessions are kept.
    pub(super) const fn keeps(&self) -> bool {
        IS_BUILT_IN && self.config.keeps
    }

    /// Whether the store takes the session, if sessions are kept.
    pub(super) fn is_kept(&self) -> Option<bool> {
        self.keeps().then_some(!self.keeper.is_refused)
    }

    /// Returns true if the store has this vault's session and takes what this vault writes.
    pub(super) const fn is_in_store(&self) -> bool {
        self.keeps() && self.keeper.is_known && !self.keeper.is_refused
    }

    /// Returns true if the store loses nothing with this vault.
    pub(super) const fn is_store_up_to_date(&self) -> bool {
        let Keeper {
            lock,
            wants_save,
            ended,
            ..
        } = &self.keeper;
        !self.keeps() || (matches!(lock, lock::Lock::Free) && !*wants_save && ended.is_none())
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

    /// There is a new session, which the store has to know.
    pub(super) fn save(&mut self) {
        if self.keeps() {
            self.stop_loading();
            self.keeper.wants += 1;
            self.keeper.wants_save = true;
            self.keeper.is_known = false;
            // Until this is written, the store has what has ended.
            let ended = self.keeper.ended.take();
            self.keeper.is_behind |= ended.is_some_and(|ended| ended.was_known);
            self.logouts_kept();
            self.want_lock();
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

    pub(super) fn keeper_due(&self) -> Option<Millis> {
        if !self.keeps() {
            return None;
        }
        let Keeper {
            retry_at,
            looks,
            activity,
            ..
        } = &self.keeper;
        let all = [*retry_at, activity.flush_at, looks.retry_at];
        all.into_iter().flatten().min()
    }

    pub(super) fn keep_on_time(&mut self) {
        if self.keeper_due().is_none_or(|at| at > self.now.monotonic) {
            return;
        }
        let is_over = |at: &mut Millis| *at <= self.now.monotonic;
        if self.keeper.looks.retry_at.take_if(is_over).is_some() {
            self.look();
        }
        self.keeper.retry_at = None;
        self.flush_activity();
        if self.keeper.wants_save || self.keeper.ended.is_some() {
            self.want_lock();
        }
    }
}

/// How long to wait after so many failures before this one.
fn back_off(failures: u32) -> Millis {
    Millis(RETRY.0 << failures.min(6)).min(LONGEST_RETRY)
}
