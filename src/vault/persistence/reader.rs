//! Reads of the store, with or without the lock.
//!
//! A read has two steps. The first step reads the state that was stored last. If this state is a session, the second
//! step looks for a mark that the session has ended. Such a mark is a separate record in the store (see `tombstone`).

use crate::context::{Context, Purpose};
use crate::io::{Loaded, Output, Taken};
use crate::persistence::tombstone::mark_of;
use rules::base::clock::{Instant, Millis, UnixMillis};
use rules::prelude::*;
use rules::session::{self, EndReason, Kept, Session};

/// The time limit for each step of a read without the lock. New pages wait for the first read of the store. If that
/// read must be repeated, they wait for another read only until this time has passed since the first read began.
const READ_LIMIT: Millis = Millis::from_secs(3);

/// The result of a read of the store.
pub(crate) enum Stored {
    /// A session that has not ended.
    Session(Box<Session>),
    /// A session that has ended, although the store still has it, or has it again.
    Overwritten(Box<Session>),
    /// The session with this identifier has ended.
    Ended(String, EndReason),
    Nothing,
    /// A record that cannot be decrypted, or that was written for another configuration.
    Unreadable,
    /// The store does not work.
    Unavailable,
}

/// A read of the store that is in flight.
#[derive(Default)]
pub(crate) struct Reading {
    /// During the second step, this is the session that the first step has read. During the first step, it is `None`.
    session: Option<Box<Session>>,
}

impl Reading {
    pub(super) fn session(&self) -> Option<&Session> {
        self.session.as_deref()
    }

    /// Keeps the session during the second step.
    pub(super) fn found(&mut self, session: Box<Session>) {
        self.session = Some(session);
    }

    /// Handles the end of the second step. Returns the result of the read, or `None` if the second step has not begun.
    pub(super) fn end_taken(&mut self, taken: &Taken) -> Option<Stored> {
        let session = self.session.take()?;
        Some(match taken {
            // control: overwritten_logout_is_found
            Taken::Found(_) | Taken::Used => Stored::Overwritten(session),
            Taken::Absent => Stored::Session(session),
            // control: read_needs_the_tombstone
            Taken::Unavailable => Stored::Unavailable,
        })
    }
}

/// The reads of the store without the lock.
#[derive(Default)]
pub(crate) struct UnlockedReads {
    /// The read in flight.
    pub(crate) in_flight: Option<Reading>,
    /// True if the store changed during the read.
    pub(crate) again: bool,
    /// True if this vault had the lock during the read. The result may then be older than a state that was read or
    /// written under the lock.
    pub(crate) is_old: bool,
    /// True if the store must be read again after this vault releases the lock. Another vault may have written the end
    /// of a session without the lock.
    pub(crate) after_unlock: bool,
    /// The time of the next planned read.
    pub(crate) retry_at: Option<Millis>,
    /// The number of reads that failed because the store was unavailable.
    pub(crate) failed: u32,
    /// The time after which pages are greeted, that is, told if there is a session, even if another read is needed.
    greet_by: Option<Millis>,
    /// True if another vault announced a sign-out before this vault greeted its pages, and the store may not have the
    /// sign-out yet.
    expects_end: bool,
    /// The time of a sign-out that was announced before pages were greeted, and that may never reach the store. This
    /// sign-out ends all sessions that began before it.
    pub(super) signed_out_at: Option<Instant>,
}

impl UnlockedReads {
    pub(crate) const fn is_reading(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Begins the first read of the store when the first input is handled.
    pub(super) fn begin(&mut self, ctx: &mut Context) {
        if ctx.stores_sessions() && self.greet_by.is_none() {
            self.greet_by = Some(ctx.now.monotonic + READ_LIMIT);
            self.read(ctx);
        }
    }

    pub(crate) fn read(&mut self, ctx: &mut Context) {
        if self.in_flight.is_none() {
            self.in_flight = Some(Reading::default());
            load(ctx, Purpose::ReadUnlocked);
        }
    }

    /// Records that the store has changed, and reads it again.
    pub(super) fn changed(&mut self, ctx: &mut Context) {
        self.again = self.is_reading();
        self.read(ctx);
    }

    /// Records that another vault has changed the store. The store may now have the sign-out that `expects_end`
    /// announces.
    pub(super) const fn forget_expected_end(&mut self) {
        self.expects_end = false;
    }

    /// Records a sign-out before pages are greeted, so that they do not learn of the session that is still in the
    /// store. `at` is the time of the sign-out, or `None` if another vault is about to write the sign-out to the store.
    pub(super) fn signed_out(&mut self, ctx: &mut Context, at: Option<UnixMillis>) {
        if !ctx.is_loading() {
            return;
        }
        if let Some(at) = at {
            // The time is kept as an `Instant`, because the wall clock may be changed before the store can be read.
            let at = ctx.now.back_to(at);
            let is_earlier = |known: &Instant| known.elapsed(&ctx.now) >= at.elapsed(&ctx.now);
            if self.signed_out_at.as_ref().is_none_or(is_earlier) {
                self.signed_out_at = Some(at);
            }
            self.read(ctx);
        } else {
            self.expects_end = true;
        }
    }

    /// Returns true if pages are not greeted yet, and the result may be older than a sign-out or another change. The
    /// store is then read again before pages are greeted.
    pub(super) fn is_superseded(&mut self, ctx: &mut Context, stored: &Stored) -> bool {
        let greet_by = self.greet_by.filter(|at| *at > ctx.now.monotonic);
        let Some(at) = greet_by.filter(|_| !ctx.has_read_store) else {
            return false;
        };
        if core::mem::take(&mut self.again) {
            self.read(ctx);
            return true;
        }
        let awaits_end = self.expects_end && matches!(stored, Stored::Session(_));
        if awaits_end {
            self.retry_at = Some(at);
        }
        awaits_end
    }
}

/// Begins to read the store.
pub(super) fn load(ctx: &mut Context, purpose: Purpose) {
    let op = ctx.begin_operation(purpose, Some(reading_deadline(ctx, purpose)));
    let is_locked = matches!(purpose, Purpose::ReadLocked);
    ctx.outputs.push(Output::Load { op, is_locked });
}

/// Looks for the mark that a session has ended.
pub(super) fn look_up_end(ctx: &mut Context, purpose: Purpose, session: &Session) {
    let key = mark_of(session.sid());
    let op = ctx.begin_operation(purpose, Some(reading_deadline(ctx, purpose)));
    ctx.outputs.push(Output::Take { op, key });
}

fn reading_deadline(ctx: &Context, purpose: Purpose) -> Millis {
    let limit = match purpose {
        Purpose::ReadUnlocked => READ_LIMIT,
        _ => ctx.config.flow.request_timeout,
    };
    ctx.now.monotonic + limit
}

/// Parses the content of the store.
pub(super) fn parse(ctx: &Context, loaded: &Loaded) -> Stored {
    match loaded {
        Loaded::Found(text) => match session::restore(text.expose(), &ctx.config.flow, &ctx.now) {
            Some(Kept::Session(session)) => Stored::Session(session),
            Some(Kept::Ended(sid, reason)) => Stored::Ended(sid, reason),
            None => Stored::Unreadable,
        },
        Loaded::Nothing => Stored::Nothing,
        Loaded::Damaged => Stored::Unreadable,
        Loaded::Unavailable => Stored::Unavailable,
    }
}
