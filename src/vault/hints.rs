//! Hints between the vaults of one issuer and client on one origin: those of an older or newer deployment, whose
//! worker file has another name or other content, and those in the dedicated workers of other tabs.
//!
//! A hint tells of a sign-out or a sign-in in another vault. Any script of the origin can post one, so a hint may end
//! a session, as `logout()` may. A hint never starts or extends a session, does not count as activity, and causes no
//! navigation.
//!
//! | hint | what a vault does |
//! |---|---|
//! | sign-out, written to the store | reads the store if its own session is there and the store works; otherwise ends its session if that began before the sign-out. Before it greets its pages, it waits for the store to have the end |
//! | sign-out, known to no store | ends its session and the stored one, if they began before the sign-out |
//! | sign-out that could not be written | as above |
//! | sign-in | without a store: tells its pages that a user is signed in elsewhere |
//! | sign-in in a newer build | asks its pages to reconnect, and stops within [`STOP_AFTER`] |
//!
//! The name of the host's channel contains the version of hints, the issuer and the client ([`channel`]), so the browser
//! delivers a hint only to the vaults it concerns. Sign-outs always count. Reads of the store, and sign-ins, are limited
//! to one in each [`PAUSE`].

use crate::base::clock::{Millis, UnixMillis};
use crate::config::Config;
use crate::prelude::*;
use crate::vault::context::Context;
use crate::vault::io::{Hint, News, Output, TIME_UNIT};
use crate::vault::message::message;

/// Shortest time between two hints that are acted on.
const PAUSE: Millis = Millis::from_secs(1);

/// Longest time for which an outdated vault continues, because its pages may have work to finish.
const STOP_AFTER: Millis = Millis::from_secs(300);

/// Returns the name of the channel for hints. A vault that understands other hints must use another name.
#[must_use]
pub fn channel(config: &Config) -> String {
    [
        "strongroom hints 1 ",
        &config.issuer,
        " ",
        &config.client_id,
    ]
    .concat()
}

/// The state of a vault that concerns hints: what it posts, and what it learned from hints of others.
#[derive(Default)]
pub(super) struct Hints {
    /// The time at which the newest of this vault's pages was loaded. Of two builds, the one with the newer page is the
    /// newer.
    loaded: UnixMillis,
    next_sign_in: Millis,
    next_read: Millis,
    /// A user has signed in in a vault of a newer build.
    is_outdated: bool,
    /// The time at which this vault stops. The vault has already told its pages.
    stop_at: Option<Millis>,
    has_stopped: bool,
    /// The time of a sign-out for which other vaults read the store, which does not have it yet.
    awaits_store: Option<UnixMillis>,
}

impl Hints {
    /// Returns the time at which an input is due, if that is after `now`.
    pub(super) fn due(&self, now: Millis) -> Option<Millis> {
        self.stop_at.filter(|at| *at > now)
    }
}

/// The reaction to a sign-out in another vault.
pub(super) enum SignOut {
    /// The store decides: a user may have signed in since.
    ReadStore,
    /// The store decides, but it was read a moment ago. The next read is at this time.
    ReadStoreAt(Millis),
    /// The session ends.
    End,
}

impl Hints {
    /// Tells the other vaults that a page signs out here. `is_stored` is true if the store will have the sign-out.
    pub(super) fn announce_sign_out(&mut self, ctx: &mut Context, is_stored: bool) {
        self.awaits_store = is_stored.then_some(ctx.now.wall);
        let news = if is_stored {
            News::SignedOutInStore
        } else {
            News::SignedOut
        };
        announce(ctx, news, round_up(ctx.now.wall));
    }

    /// Notes that the store has what a sign-out here has changed.
    pub(super) const fn sign_out_stored(&mut self) {
        self.awaits_store = None;
    }

    /// Tells the other vaults that the store may never have the sign-out that was announced.
    pub(super) fn sign_out_not_stored(&mut self, ctx: &mut Context) {
        if let Some(at) = self.awaits_store.take() {
            announce(ctx, News::NotStored, round_up(at));
        }
    }

    /// Tells the other vaults that a user has signed in here.
    pub(super) fn announce_sign_in(&mut self, ctx: &mut Context) {
        ctx.elsewhere = ctx.elsewhere.map(|_| false);
        announce(ctx, News::SignedIn, self.loaded);
    }

    /// Decides how to react to a sign-out in another vault. `has_stored` is true if the store works and has both
    /// the session of this vault and the sign-out.
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
        // The store brings the session itself.
        if !ctx.keeps() && ctx.elsewhere != Some(true) {
            ctx.elsewhere = Some(true);
            ctx.broadcast_session();
        }
    }

    /// Records the time at which a page that has connected was loaded. A page that names a time in the future could
    /// make this vault the newest for good, or its hints too long to be posted as a number.
    pub(super) fn record_page(&mut self, ctx: &Context, loaded: UnixMillis) {
        self.loaded = self.loaded.max(loaded.min(ctx.now.wall));
    }

    /// Returns the message that asks a page to reconnect, if this vault is about to stop.
    pub(super) fn outdated_message(&self) -> Option<String> {
        self.stop_at.map(|_| message("outdated").finish())
    }

    /// Asks pages to reconnect if a user has signed in in a newer vault. Returns true when the vault has to stop:
    /// all pages have left, or their time is over. `may_stop` is true if the store loses nothing with this vault.
    pub(super) fn stop_if_outdated(&mut self, ctx: &mut Context, may_stop: bool) -> bool {
        if !self.is_outdated || self.has_stopped {
            return false;
        }
        let now = ctx.now.monotonic;
        let Some(stop_at) = self.stop_at else {
            // A dedicated worker's session in memory would be lost: its page cannot reconnect to another tab's vault.
            if !ctx.config.is_dedicated || ctx.keeps() || ctx.session.is_none() {
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

/// Returns the first time that a hint can state and that is not before `at`: a session that began before a sign-out must
/// not count as a later one.
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
