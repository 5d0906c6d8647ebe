//! The key of a session that is kept, where a service worker has it in escrow (`persist: 'escrow'`): there, in
//! memory, and nowhere but in the vaults besides.
//!
//! Browsers stop a service worker that nobody has asked anything for half a minute, and its memory is gone. So
//! the key is handed over again and again: when a page becomes hidden or visible, while the user does something
//! and for a while after that, and when a page leaves, though by then the worker may be gone too. A worker that
//! starts later asks for it.

use crate::base::clock::Millis;
use crate::vault::{Output, Vault};

/// How often the key is handed over, so that the service worker is not stopped.
const PAUSE: Millis = Millis::from_secs(20);

/// For so long after a page came, or the user did something: who is away for longer may find a browser that has
/// saved its power.
const PRESENCE: Millis = Millis::from_secs(300);

/// When the key is to be handed over.
#[derive(Default)]
pub(super) struct Escrow {
    last: Millis,
    until: Millis,
}

impl Vault {
    /// Somebody is there: the key has to be where a worker finds it that starts when this one is gone.
    pub(super) fn user_is_there(&mut self) {
        self.escrow.until = self.now.monotonic + PRESENCE;
        self.hand_key_over();
    }

    pub(super) fn hand_key_over(&mut self) {
        if self.config.is_escrowed && self.session.is_some() {
            self.outputs.push(Output::HandKeyOver);
            self.escrow.last = self.now.monotonic;
        }
    }

    pub(super) fn hand_over_due(&self) -> Option<Millis> {
        let Escrow { last, until } = self.escrow;
        let is_needed = self.config.is_escrowed && self.session.is_some();
        Some(last + PAUSE).filter(|due| is_needed && *due <= until)
    }

    pub(super) fn hand_over_on_time(&mut self) {
        let now = self.now.monotonic;
        if self.hand_over_due().is_some_and(|due| due <= now) {
            self.hand_key_over();
        }
    }
}
