//! Reading the store, under the lock and without.
//!
//! A read has two steps: what was persisted last, and, if that is a session, the mark of its end that may have been
//! written beside it (see `tombstone`).

use crate::base::clock::{Instant, Millis, UnixMillis};
use crate::prelude::*;
use crate::session::{self, EndReason, Kept, Session};
use crate::vault::context::{Context, Purpose};
use crate::vault::io::{Loaded, Output, Taken};
use crate::vault::persistence::tombstone::mark_of;

/// Longest time for a read without the lock. A page waits for the first read, and for others that begin within this
/// time.
const READ_LIMIT: Millis = Millis::from_secs(3);

/// The content of the store.
pub(in crate::vault) enum Stored {
    /// A session that has not ended.
    Session(Box<Session>),
    /// A session that has ended, but was persisted again after that.
    Overwritten(Box<Session>),
    /// The session with this identifier has ended.
    Ended(String, EndReason),
    Nothing,
    /// A record that cannot be decrypted, or that was written for another configuration.
    Unreadable,
    /// The store does not work.
    Unavailable,
}

/// A read of the store in flight.
#[derive(Default)]
pub(in crate::vault) struct Reading {
    /// The session that was found, while the mark of its end is looked up.
    session: Option<Box<Session>>,
}

impl Reading {
    pub(super) fn session(&self) -> Option<&Session> {
        self.session.as_deref()
    }

    /// Remembers the session while the mark of its end is looked up. The session's ages are counted from this read.
    pub(super) fn found(&mut self, session: Box<Session>) {
        self.session = Some(session);
    }

    /// Handles the end of the second step.
    pub(super) fn end_taken(&mut self, taken: &Taken) -> Option<Stored> {
        let session = self.session.take()?;
        Some(match taken {
            // control: overwritten_logout_is_found
            Taken::Found(_) | Taken::Used => Stored::Overwritten(session),
            Taken::Absent => Stored::Session(session),
            Taken::Unavailable => Stored::Unavailable,
        })
    }
}

/// Reads of the store without the lock.
#[derive(Default)]
pub(in crate::vault) struct UnlockedReads {
    /// The read in flight.
    pub(in crate::vault) in_flight: Option<Reading>,
    /// True if the store changed during the read.
    pub(in crate::vault) again: bool,
    /// True if this vault had the lock in the meantime: the result may be older than what was read or written under the
    /// lock.
    pub(in crate::vault) is_old: bool,
    /// True if the store changed while this vault had the lock: other vaults can only have written an end.
    pub(in crate::vault) after_unlock: bool,
    /// The time of the next read after a failure of the store, and the number of failures.
    pub(in crate::vault) retry_at: Option<Millis>,
    pub(in crate::vault) failed: u32,
    /// The time after which no further read delays the greeting of pages.
    greet_by: Option<Millis>,
    /// True if another vault announced a sign-out before this vault greeted its pages, and will soon write that
    /// sign-out to the store.
    expects_end: bool,
    /// The time of a sign-out that was announced before pages were greeted, and that may never reach the store. This
    /// sign-out ends all sessions that began before it.
    pub(super) signed_out_at: Option<Instant>,
}

impl UnlockedReads {
    pub(in crate::vault) const fn is_reading(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Begins the first read, with the first input: the store may have a session.
    pub(super) fn begin(&mut self, ctx: &mut Context) {
        if ctx.keeps() && self.greet_by.is_none() {
            self.greet_by = Some(ctx.now.monotonic + READ_LIMIT);
            self.read(ctx);
        }
    }

    pub(in crate::vault) fn read(&mut self, ctx: &mut Context) {
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

    /// Records a change of the store. An end that was expected may have been written.
    pub(super) const fn forget_expected_end(&mut self) {
        self.expects_end = false;
    }

    /// Records a sign-out. Pages that are not greeted yet must not learn of the session that is still in the store.
    /// `at` is the time of the sign-out, unless the store is about to have it.
    pub(super) fn signed_out(&mut self, ctx: &mut Context, at: Option<UnixMillis>) {
        if !ctx.is_loading() {
            return;
        }
        if let Some(at) = at {
            // The clock may be set before the store can be read.
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

    /// Returns true if the result may be older than a sign-out or another change. The store is then read again before
    /// pages are greeted.
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
    ctx.outputs.push(Output::Load { op });
}

/// Looks up the mark of a session's end.
pub(super) fn look_up_end(ctx: &mut Context, purpose: Purpose, session: &Session) {
    let key = mark_of(session.sid());
    let op = ctx.begin_operation(purpose, Some(reading_deadline(ctx, purpose)));
    ctx.outputs.push(Output::Take { op, key });
}

fn reading_deadline(ctx: &Context, purpose: Purpose) -> Millis {
    let limit = match purpose {
        Purpose::ReadUnlocked => READ_LIMIT,
        _ => ctx.config.request_timeout,
    };
    ctx.now.monotonic + limit
}

/// Parses the content of the store.
pub(super) fn parse(ctx: &Context, loaded: &Loaded) -> Stored {
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
