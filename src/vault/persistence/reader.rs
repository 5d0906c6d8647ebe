//! Reading the store, under the lock and without.
//!
//! There are two things to read: what was persisted last, and, if that is a session, whether its end was
//! written beside it (see `end`).

use crate::base::clock::{Millis, UnixMillis};
use crate::prelude::*;
use crate::session::{self, EndReason, Kept, Session};
use crate::vault::context::Context;
use crate::vault::context::Purpose;
use crate::vault::io::{Loaded, Output, Taken};
use crate::vault::persistence::Persistence;
use crate::vault::persistence::lock::Lock;
use crate::vault::persistence::tombstone::mark_of;

/// Longest time for a read without the lock. A page waits for the first read, and for others that begin within this
/// time.
const PATIENCE: Millis = Millis::from_secs(3);

/// The content of the store.
pub(in crate::vault) enum Stored {
    /// A session that goes on.
    Session(Box<Session>),
    /// A session that has ended, though it was persisted after that.
    Overwritten(Box<Session>),
    /// The session of this number has ended.
    Ended(String, EndReason),
    Nothing,
    /// Something that does not open, or was written for others.
    Unreadable,
    /// It does not work.
    Unavailable,
}

/// A reading of the store that is under way.
#[derive(Default)]
pub(super) struct Reading {
    /// The session that was found, while it is looked up whether its end was written.
    session: Option<Box<Session>>,
}

/// Looks at the store without the lock.
#[derive(Default)]
pub(super) struct Looks {
    /// The read in flight.
    pub(super) open: Option<Reading>,
    /// There was a change meanwhile.
    pub(super) again: bool,
    /// The lock was this vault's meanwhile: what is found may be older than what was read or written
    /// under the lock.
    pub(super) is_old: bool,
    /// There was a change while the lock was this vault's: only an end can have been written.
    pub(super) after_lock: bool,
    /// The time of the next read after a failure of the store, and the number of failures.
    pub(super) retry_at: Option<Millis>,
    pub(super) failed: u32,
    /// From then on, no further look delays the greeting of pages.
    pub(super) greet_by: Option<Millis>,
    /// A sign-out elsewhere before pages are greeted, the end of which the store is about to have.
    pub(super) expects_end: bool,
    /// A sign-out elsewhere before pages are greeted, which the store may never have: it ends sessions that began by
    /// this time.
    pub(super) signed_out_at: Option<UnixMillis>,
}

impl Looks {
    pub(super) const fn is_reading(&self) -> bool {
        self.open.is_some()
    }
}

impl Persistence {
    /// Notes that another vault has changed the store.
    pub(in crate::vault) fn changed_elsewhere(&mut self, ctx: &mut Context, is_refresh_sent: bool) {
        if !ctx.keeps() {
            return;
        }
        self.looks.expects_end = false;
        // The other vault had the lock, and may have given it back.
        self.retry_at = self.retry_at.map(|_| ctx.now.monotonic);
        if matches!(self.lock, Lock::Free | Lock::Asked(_)) || is_refresh_sent {
            self.looks.again = self.looks.is_reading();
            self.look(ctx);
        } else {
            self.looks.after_lock = true;
        }
    }

    /// Handles the content of the store. Returns `None` if it is a session: its end may be stored beside it, and is
    /// looked up first.
    pub(in crate::vault) fn loaded(
        &mut self,
        ctx: &mut Context,
        purpose: Purpose,
        loaded: &Loaded,
    ) -> Option<Stored> {
        let session = match stored(ctx, loaded) {
            Stored::Session(session) => session,
            stored => return Some(stored),
        };
        let key = mark_of(session.sid());
        let op = ctx.begin_operation(purpose, Some(reading_deadline(ctx, purpose)));
        ctx.outputs.push(Output::Take { op, key });
        if let Some(reading) = self.reading(purpose) {
            // The session's ages are counted from this read.
            reading.session = Some(session);
        }
        None
    }

    /// Handles the lookup of the end of a session.
    pub(in crate::vault) fn mark_taken(
        &mut self,
        purpose: Purpose,
        taken: &Taken,
    ) -> Option<Stored> {
        let session = self.reading(purpose).and_then(|r| r.session.take())?;
        Some(match taken {
            // control: overwritten_logout_is_found
            Taken::Found(_) | Taken::Used => Stored::Overwritten(session),
            Taken::Absent => Stored::Session(session),
            Taken::Unavailable => Stored::Unavailable,
        })
    }

    /// With the first input: the store may have a session.
    pub(in crate::vault) fn begin(&mut self, ctx: &mut Context) {
        if ctx.keeps() && self.looks.greet_by.is_none() {
            self.looks.greet_by = Some(ctx.now.monotonic + PATIENCE);
            self.look(ctx);
        }
    }

    /// Notes a sign-out in another vault. Pages that are not greeted yet must not learn of the session that is still in
    /// the store.
    /// `at` is the time of the sign-out, unless the store is about to have it.
    pub(in crate::vault) fn signed_out_while_loading(
        &mut self,
        ctx: &mut Context,
        at: Option<UnixMillis>,
    ) {
        if !ctx.is_loading() {
            return;
        }
        let looks = &mut self.looks;
        if at.is_some() {
            looks.signed_out_at = looks.signed_out_at.max(at);
            self.look(ctx);
        } else {
            looks.expects_end = true;
        }
    }

    /// Returns true if what was found may be older than a sign-out or another change. The store is then read again before
    /// pages are greeted.
    pub(super) fn is_superseded(&mut self, ctx: &mut Context, stored: &Stored) -> bool {
        let looks = &mut self.looks;
        let greet_by = looks.greet_by.filter(|at| *at > ctx.now.monotonic);
        let Some(at) = greet_by.filter(|_| !ctx.has_looked) else {
            return false;
        };
        if core::mem::take(&mut looks.again) {
            self.look(ctx);
            return true;
        }
        let awaits_end = looks.expects_end && matches!(stored, Stored::Session(_));
        if awaits_end {
            looks.retry_at = Some(at);
        }
        awaits_end
    }

    /// Looks at the store at this time.
    pub(in crate::vault) const fn look_at(&mut self, at: Millis) {
        self.looks.retry_at = Some(at);
    }

    pub(super) fn look(&mut self, ctx: &mut Context) {
        if self.looks.open.is_none() {
            self.looks.open = Some(Reading::default());
            load(ctx, Purpose::Look);
        }
    }

    /// Sessions that were found in the store and are not looked up yet.
    #[cfg(feature = "extended")]
    pub(in crate::vault) fn sessions_being_read(&self) -> impl Iterator<Item = &Session> {
        let under_lock = match &self.lock {
            Lock::Reading(reading) => Some(reading),
            _ => None,
        };
        let readings = [self.looks.open.as_ref(), under_lock];
        let sessions = readings.into_iter().flatten();
        sessions.filter_map(|reading| reading.session.as_deref())
    }

    pub(super) fn reading(&mut self, purpose: Purpose) -> Option<&mut Reading> {
        match (&mut self.lock, purpose) {
            (_, Purpose::Look) => self.looks.open.as_mut(),
            (Lock::Reading(reading), _) => Some(reading),
            _ => None,
        }
    }
}

/// Begins to read the store.
pub(super) fn load(ctx: &mut Context, purpose: Purpose) {
    let op = ctx.begin_operation(purpose, Some(reading_deadline(ctx, purpose)));
    ctx.outputs.push(Output::Load { op });
}

fn reading_deadline(ctx: &Context, purpose: Purpose) -> Millis {
    let patience = match purpose {
        Purpose::Look => PATIENCE,
        _ => ctx.config.request_timeout,
    };
    ctx.now.monotonic + patience
}

fn stored(ctx: &Context, loaded: &Loaded) -> Stored {
    match loaded {
        Loaded::Found(text) => match session::restore(text.expose(), &ctx.config, &ctx.now) {
            Some(Kept::Session(session)) => Stored::Session(session),
            Some(Kept::Ended(sid, reason)) => Stored::Ended(sid, reason),
            None => Stored::Unreadable,
        },
        Loaded::Nothing => Stored::Nothing,
        Loaded::Damaged => Stored::Unreadable,
        Loaded::Unavailable => Stored::Unavailable,
    }
}
