//! Hints between the vaults of one issuer and client on one origin: those of an older or newer deployment, whose
//! worker file has another name or other content, and those in the dedicated workers of other tabs.
//!
//! A hint tells of a sign-out or a sign-in in another vault. Any script of the origin can post one, so a hint may end
//! a session, as `logout()` may. It never starts or extends a session, is not activity, and leads nowhere.
//!
//! | hint | what a vault does |
//! |---|---|
//! | sign-out, written to the store | looks at the store if its own session is there and the store works; otherwise ends its session. Before it greets its pages, it waits for the store to have the end |
//! | sign-out, known to no store | ends its session |
//! | sign-out that could not be written | ends its session if that began before the sign-out |
//! | sign-in | without a store: tells its pages that somebody is signed in elsewhere |
//! | sign-in in a newer build | asks its pages to reconnect, and stops within [`STOP_AFTER`] |
//!
//! The name of the host's channel contains the version of hints, the issuer and the client ([`channel`]), so the browser
//! delivers a hint only to the vaults it concerns. Sign-outs always count. Looks at the store, and sign-ins, are limited
//! to one in each [`PAUSE`].

use crate::base::clock::{Millis, UnixMillis};
use crate::codec::json::Writer;
use crate::config::Config;
use crate::prelude::*;
use crate::session::EndReason;
use crate::vault::message::message;
use crate::vault::{Output, Vault};

/// Shortest time between two hints that are acted on.
const PAUSE: Millis = Millis::from_secs(1);

/// Longest time for which an outdated vault goes on: its pages may have work to finish.
const STOP_AFTER: Millis = Millis::from_secs(300);

/// An event in another vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Somebody signed out, and no store has the end of the session.
    SignedOut,
    /// Somebody signed out, and the store that vaults share has the end of the session, or will have it soon. If it
    /// cannot be written, [`News::NotStored`] follows.
    SignedOutInStore,
    /// Somebody signed in.
    SignedIn,
    /// The store may never have the sign-out that was announced at [`Hint::loaded`].
    NotStored,
}

/// A hint between vaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint {
    /// The event.
    pub news: News,
    /// The build of the vault in which it happened: [`Config::build`].
    pub build: u16,
    /// The time at which the newest page of that vault was loaded; for [`News::NotStored`], that of the sign-out.
    pub loaded: UnixMillis,
}

impl Hint {
    /// The hint as the number that is posted: two bits of news, sixteen of the build, and a time in seconds.
    #[must_use]
    pub fn to_number(self) -> f64 {
        let news = match self.news {
            News::NotStored => 0,
            News::SignedOut => 1,
            News::SignedOutInStore => 2,
            News::SignedIn => 3,
        };
        (news | (u64::from(self.build) << 2) | ((self.loaded / 1000) << 18)) as f64
    }

    /// Reads what was posted. `None` for what is not a hint.
    #[must_use]
    pub const fn from_number(number: f64) -> Option<Self> {
        // NaN and negative numbers become 0.
        let number = number as u64;
        let news = match number & 3 {
            1 => News::SignedOut,
            2 => News::SignedOutInStore,
            3 => News::SignedIn,
            _ if number >> 18 > 0 => News::NotStored,
            _ => return None,
        };
        Some(Self {
            news,
            build: (number >> 2) as u16,
            loaded: (number >> 18) * 1000,
        })
    }
}

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
    /// True if somebody is signed in in another vault and not here; `None` if nothing is known.
    elsewhere: Option<bool>,
    next_sign_in: Millis,
    next_look: Millis,
    /// Somebody has signed in in a vault of a newer build.
    is_outdated: bool,
    /// The time at which this vault stops. Its pages have been told.
    stop_at: Option<Millis>,
    has_stopped: bool,
    /// The time of a sign-out for which other vaults look in the store, which does not have it yet.
    awaits_store: Option<UnixMillis>,
}

impl Hints {
    /// Returns the time at which an input is due, if that is after `now`.
    pub(super) fn due(&self, now: Millis) -> Option<Millis> {
        self.stop_at.filter(|at| *at > now)
    }
}

impl Vault {
    /// Tells the other vaults that a page signs out here. Call this while the session is still there.
    pub(super) fn announce_sign_out(&mut self) {
        let is_stored = self.is_in_store();
        self.hints.awaits_store = is_stored.then_some(self.now.wall);
        self.announce(if is_stored {
            News::SignedOutInStore
        } else {
            News::SignedOut
        });
    }

    /// The store has what a sign-out here has changed.
    pub(super) const fn sign_out_stored(&mut self) {
        self.hints.awaits_store = None;
    }

    /// The store may never have the sign-out that was announced: other vaults must not rely on it.
    pub(super) fn sign_out_not_stored(&mut self) {
        if let Some(at) = self.hints.awaits_store.take() {
            // A hint has whole seconds.
            self.announce_at(News::NotStored, at.saturating_add(999));
        }
    }

    /// Tells the other vaults that somebody has signed in here.
    pub(super) fn announce_sign_in(&mut self) {
        self.hints.elsewhere = self.hints.elsewhere.map(|_| false);
        self.announce(News::SignedIn);
    }

    fn announce(&mut self, news: News) {
        self.announce_at(news, self.hints.loaded);
    }

    fn announce_at(&mut self, news: News, loaded: UnixMillis) {
        self.outputs.push(Output::Hint(Hint {
            news,
            build: self.config.build,
            loaded,
        }));
    }

    /// Another vault, or a script, has posted this.
    pub(super) fn hinted(&mut self, hint: Hint) {
        match hint.news {
            News::SignedOut => self.signed_out_elsewhere(false),
            News::SignedOutInStore => self.signed_out_elsewhere(true),
            News::NotStored => self.not_stored_elsewhere(hint.loaded),
            News::SignedIn => {
                let is_newer = hint.loaded / 1000 > self.hints.loaded / 1000;
                self.signed_in_elsewhere(is_newer && hint.build != self.config.build);
            }
        }
    }

    fn signed_out_elsewhere(&mut self, is_stored: bool) {
        self.signed_out_while_loading((!is_stored).then_some(self.now.wall));
        if is_stored && self.is_in_store() {
            // The store decides: somebody may have signed in since.
            let now = self.now.monotonic;
            if now >= self.hints.next_look {
                self.hints.next_look = now + PAUSE;
                self.changed_elsewhere();
            } else {
                self.look_at(self.hints.next_look);
            }
            return;
        }
        self.cancel_callbacks();
        let was_elsewhere = self.hints.elsewhere.replace(false);
        if self.session.is_some() {
            self.end_session(EndReason::LoggedOut);
        } else if was_elsewhere != Some(false) {
            // A vault that started after the sign-in does not know of it, but its pages may.
            self.broadcast_session();
        }
    }

    /// The end of sessions that began before `at` is in no store.
    fn not_stored_elsewhere(&mut self, at: UnixMillis) {
        if !self.keeps() {
            return;
        }
        self.signed_out_while_loading(Some(at));
        let session = self.session.as_ref().map(|session| *session.beginning());
        if let Some(began) = session.filter(|began| began.wall <= at) {
            self.end_session(EndReason::LoggedOut);
            self.end_none_after(&began);
        }
    }

    fn signed_in_elsewhere(&mut self, is_newer_build: bool) {
        let now = self.now.monotonic;
        if now < self.hints.next_sign_in {
            return;
        }
        self.hints.next_sign_in = now + PAUSE;
        self.hints.is_outdated |= is_newer_build;
        // The store brings the session itself.
        if !self.keeps() && self.hints.elsewhere != Some(true) {
            self.hints.elsewhere = Some(true);
            self.broadcast_session();
        }
    }

    /// Notes the time at which a page that has connected was loaded. A page that names a time in the future could make
    /// this vault the newest for good, or its hints too long to be posted as a number.
    pub(super) fn note_page(&mut self, loaded: UnixMillis) {
        self.hints.loaded = self.hints.loaded.max(loaded.min(self.now.wall));
    }

    /// Adds to a message about the session what is known of other vaults.
    pub(super) fn tell_elsewhere(&self, message: &mut Writer) {
        if let Some(elsewhere) = self.hints.elsewhere {
            message.flag("elsewhere", elsewhere);
        }
    }

    /// The message that asks a page to reconnect, if this vault is about to stop.
    pub(super) fn farewell(&self) -> Option<String> {
        self.hints.stop_at.map(|_| message("outdated").finish())
    }

    /// Asks pages to reconnect if somebody has signed in in a newer vault. Stops when all pages have left, or when their
    /// time is over.
    pub(super) fn make_room(&mut self) {
        if !self.hints.is_outdated || self.hints.has_stopped {
            return;
        }
        let now = self.now.monotonic;
        let Some(stop_at) = self.hints.stop_at else {
            // A dedicated worker's session in memory would be lost: its page cannot reconnect to another tab's vault.
            if !self.config.is_dedicated || self.keeps() || self.session.is_none() {
                self.hints.stop_at = Some(now + STOP_AFTER);
                self.farewell().iter().for_each(|text| self.broadcast(text));
            }
            return;
        };
        if (self.ports.is_empty() || stop_at <= now) && self.is_store_up_to_date() {
            self.hints.has_stopped = true;
            self.session = None;
            self.end_refresh();
            self.outputs.push(Output::Stop);
        }
    }
}
