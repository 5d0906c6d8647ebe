//! Hints are short messages between the vaults of one issuer and client on one origin. Several such vaults exist if the
//! tabs use dedicated workers, or after a deployment that changed the name or content of the worker's file.
//!
//! A hint reports a sign-out or a sign-in in another vault. Any script of the origin can post a hint. A hint can
//! therefore do no more than such a script can do with `logout()`: it may end a session. It never starts or extends a
//! session, does not count as activity, and causes no navigation.
//!
//! | hint | what a vault does |
//! |---|---|
//! | sign-out, written to the store | reads the store, if the vault's own session is in the store and the store works. Otherwise ends its session, if the session began before the sign-out |
//! | sign-out, not written to a store | ends its own and the stored session, if they began before the sign-out |
//! | sign-out that could not be written | with a store: the same as for a sign-out that was not written |
//! | sign-in | without a store: tells its pages that a user is signed in in another vault |
//! | sign-in in a newer build | asks its pages to reconnect, and stops when they have left or [`STOP_AFTER`] has passed. A dedicated worker whose session is not stored continues |
//!
//! A vault greets its pages with the message `ready`. If another vault announces a sign-out before that, and will write
//! the sign-out to the store, the vault waits until the store has the end of the session, and then greets its pages.
//!
//! The host posts hints about sign-outs on a `BroadcastChannel` whose name contains the version of hints, the issuer and
//! the client (`Flow::channel`), so the browser delivers a hint only to the vaults that it concerns. Hints about
//! sign-ins concern only vaults of the same app: the name of their channel contains the redirect URI, too
//! (`Config::sign_in_channel`). Every sign-out is handled. Sign-ins, and reads of the store after a sign-out, are limited
//! to one in each [`PAUSE`].

use crate::context::Context;
use crate::io::{Hint, News, Output, TIME_UNIT};
use crate::message::message;
use rules::base::clock::{Millis, UnixMillis};
use rules::prelude::*;

/// Shortest time between two sign-ins that are handled, and between two reads of the store after sign-outs.
const PAUSE: Millis = Millis::from_secs(1);

/// The time after which an outdated vault stops. Until then, its pages can finish their work.
const STOP_AFTER: Millis = Millis::from_secs(300);

/// The state for hints that this vault posts, and for hints from other vaults.
#[derive(Default)]
pub(super) struct Hints {
    /// The time at which the newest page of this vault was loaded. If two vaults are of different builds, the build of
    /// the vault with the newer page counts as newer.
    loaded: UnixMillis,
    next_sign_in: Millis,
    next_read: Millis,
    /// True if a user has signed in in a vault of a newer build.
    is_outdated: bool,
    /// The time at which this outdated vault stops. Its pages have already been asked to reconnect.
    stop_at: Option<Millis>,
    has_stopped: bool,
    /// The time of a sign-out in this vault that was announced as stored, but is not written to the store yet.
    awaits_store: Option<UnixMillis>,
}

impl Hints {
    /// Returns the time at which this vault must stop, if that time is after `now`.
    pub(super) fn due(&self, now: Millis) -> Option<Millis> {
        self.stop_at.filter(|at| *at > now)
    }
}

/// The reaction to a sign-out in another vault.
pub(super) enum SignOut {
    /// The vault reads the store, because a user may have signed in since the sign-out.
    ReadStore,
    /// The vault reads the store at this time, because the last read was less than [`PAUSE`] ago.
    ReadStoreAt(Millis),
    /// The session ends.
    End,
}

impl Hints {
    /// Tells the other vaults that a page of this vault signs out. `is_stored` is true if the sign-out will be written
    /// to the store.
    pub(super) fn announce_sign_out(&mut self, ctx: &mut Context, is_stored: bool) {
        self.awaits_store = is_stored.then_some(ctx.now.wall);
        let news = if is_stored {
            News::SignedOutInStore
        } else {
            News::SignedOut
        };
        announce(ctx, news, round_up(ctx.now.wall));
    }

    /// Records that the sign-out in this vault was written to the store.
    pub(super) const fn sign_out_stored(&mut self) {
        self.awaits_store = None;
    }

    /// Tells the other vaults that the sign-out that was announced as stored may never be written to the store.
    pub(super) fn sign_out_not_stored(&mut self, ctx: &mut Context) {
        if let Some(at) = self.awaits_store.take() {
            announce(ctx, News::NotStored, round_up(at));
        }
    }

    /// Tells the other vaults that a user has signed in in this vault.
    pub(super) fn announce_sign_in(&mut self, ctx: &mut Context) {
        ctx.elsewhere = ctx.elsewhere.map(|_| false);
        announce(ctx, News::SignedIn, self.loaded);
    }

    /// Decides how to react to a sign-out in another vault. `has_stored` is true if the store works and has the session
    /// of this vault, and the sign-out is or will be written to it.
    pub(super) fn signed_out_elsewhere(&mut self, ctx: &Context, has_stored: bool) -> SignOut {
        if !has_stored {
            return SignOut::End;
        }
        let now = ctx.now.monotonic;
        if now < self.next_read {
            return SignOut::ReadStoreAt(self.next_read);
        }
        self.next_read = now + PAUSE;
        SignOut::ReadStore
    }

    /// Handles a sign-in in another vault.
    pub(super) fn signed_in_elsewhere(&mut self, ctx: &mut Context, hint: &Hint) {
        let is_newer = hint.time / TIME_UNIT > self.loaded / TIME_UNIT;
        let now = ctx.now.monotonic;
        if now < self.next_sign_in {
            return;
        }
        self.next_sign_in = now + PAUSE;
        self.is_outdated |= is_newer && hint.build != ctx.config.build;
        // Vaults that share a store get the new session from the store.
        if !ctx.stores_sessions() && ctx.elsewhere != Some(true) {
            ctx.elsewhere = Some(true);
            ctx.broadcast_session();
        }
    }

    /// Records `loaded`, the time at which a page that has connected was loaded. A time in the future is replaced by
    /// the current time. Otherwise a page could make this vault count as the newest permanently, or make the number
    /// that represents a hint too large.
    pub(super) fn record_page(&mut self, ctx: &Context, loaded: UnixMillis) {
        self.loaded = self.loaded.max(loaded.min(ctx.now.wall));
    }

    /// Returns the message that asks a page to reconnect, if this vault is about to stop.
    pub(super) fn outdated_message(&self) -> Option<String> {
        self.stop_at.map(|_| message("outdated").finish())
    }

    /// Asks the pages to reconnect if a user has signed in in a newer vault. Returns true once, when this vault must
    /// stop because all pages have left or [`STOP_AFTER`] has passed. `may_stop` is true if the store already has all
    /// changes of this vault.
    pub(super) fn stop_if_outdated(&mut self, ctx: &mut Context, may_stop: bool) -> bool {
        if !self.is_outdated || self.has_stopped {
            return false;
        }
        let now = ctx.now.monotonic;
        let Some(stop_at) = self.stop_at else {
            // The vault continues if its session is only in the memory of a dedicated worker: the session would be
            // lost, because the page cannot connect to the vault of another tab.
            if !ctx.config.is_dedicated || ctx.stores_sessions() || ctx.session.is_none() {
                self.stop_at = Some(now + STOP_AFTER);
                if let Some(text) = self.outdated_message() {
                    ctx.broadcast(&text);
                }
            }
            return false;
        };
        self.has_stopped = (ctx.ports.is_empty() || stop_at <= now) && may_stop;
        self.has_stopped
    }
}

/// Rounds a sign-out's time up, because [`Hint::to_number`] rounds it down to a multiple of [`TIME_UNIT`]. With an
/// earlier time, a session that began just before the sign-out would count as newer and would not end.
fn round_up(at: UnixMillis) -> UnixMillis {
    at.saturating_add(TIME_UNIT - 1)
}

fn announce(ctx: &mut Context, news: News, time: UnixMillis) {
    ctx.outputs.push(Output::Hint(Hint {
        news,
        build: ctx.config.build,
        time,
    }));
}
