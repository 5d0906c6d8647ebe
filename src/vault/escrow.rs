//! The key of a persisted session that a service worker holds in escrow (`persist: 'escrow'`). The key is only in the
//! memory of that service worker and of the vaults.
//!
//! Browsers stop a service worker after half a minute without a request, and its memory is lost. The key is therefore
//! handed over repeatedly: when a page becomes hidden or visible, while the user does something and for a while after
//! that, and when a page leaves, although the vault's worker may be gone by then. A worker that starts later requests
//! the key.

use crate::base::clock::Millis;
use crate::vault::context::Context;
use crate::vault::io::Output;

/// Interval at which the key is handed over, so that the service worker is not stopped.
const PAUSE: Millis = Millis::from_secs(20);

/// Longest time for which the key is handed over after the last sign of the user. After that the browser may save
/// power.
const PRESENCE: Millis = Millis::from_secs(300);

/// Times at which the key is handed over.
#[derive(Default)]
pub(super) struct Escrow {
    last: Millis,
    until: Millis,
}

impl Escrow {
    /// Hands the key over, and keeps doing so for a while: a page has connected, or the user did something.
    pub(super) fn record_presence(&mut self, ctx: &mut Context) {
        self.until = ctx.now.monotonic + PRESENCE;
        self.hand_over(ctx);
    }

    pub(super) fn hand_over(&mut self, ctx: &mut Context) {
        if is_needed(ctx) {
            ctx.outputs.push(Output::HandKeyOver);
            self.last = ctx.now.monotonic;
        }
    }

    /// Returns the time at which the key is to be handed over again.
    pub(super) fn due(&self, ctx: &Context) -> Option<Millis> {
        Some(self.last + PAUSE).filter(|due| is_needed(ctx) && *due <= self.until)
    }

    pub(super) fn hand_over_on_time(&mut self, ctx: &mut Context) {
        if self.due(ctx).is_some_and(|due| due <= ctx.now.monotonic) {
            self.hand_over(ctx);
        }
    }
}

const fn is_needed(ctx: &Context) -> bool {
    ctx.config.is_escrowed && ctx.session.is_some()
}
