//! The escrow for the key that encrypts the stored session (`persist: 'escrow'`). The key is only in the memory of a
//! service worker and of the vaults.
//!
//! Browsers stop a service worker after half a minute without a request, and its memory is lost. The vault therefore
//! sends the key to the service worker repeatedly: at each sign that the user is present (see
//! [`Escrow::record_presence`]), every twenty seconds until five minutes after the last such sign, and when a page
//! leaves. A vault that starts later gets the key from the service worker.

use crate::config::{Config, Persist};
use crate::context::Context;
use crate::io::Output;
use rules::base::clock::Millis;

/// The interval at which the key is sent to the service worker. It is short enough that the browser does not stop the
/// service worker.
const PAUSE: Millis = Millis::from_secs(20);

/// The time after the last sign that the user is present during which the key is sent once in each [`PAUSE`]. After
/// that time the browser may stop the service worker to save power.
const PRESENCE: Millis = Millis::from_secs(300);

/// The escrow, if the configuration has one.
pub(super) struct Escrow(Option<Times>);

/// The time at which the key was last sent to the service worker, and the time until which it is sent again.
#[derive(Default)]
struct Times {
    last: Millis,
    until: Millis,
}

impl Escrow {
    pub(super) fn new(config: &Config) -> Self {
        Self((config.persist == Persist::Escrow).then(Times::default))
    }

    /// Records a sign that the user is present: a page has connected or has become visible or hidden, the device is
    /// online again, or the user was active. Sends the key to the service worker now, and repeatedly until [`PRESENCE`]
    /// from now.
    pub(super) fn record_presence(&mut self, ctx: &mut Context) {
        if let Some(times) = &mut self.0 {
            times.until = ctx.now.monotonic + PRESENCE;
            times.hand_over(ctx);
        }
    }

    pub(super) fn hand_over(&mut self, ctx: &mut Context) {
        if let Some(times) = &mut self.0 {
            times.hand_over(ctx);
        }
    }

    /// Returns the time at which the key must be sent to the service worker again.
    pub(super) fn due(&self, ctx: &Context) -> Option<Millis> {
        self.0.as_ref()?.due(ctx)
    }

    pub(super) fn hand_over_on_time(&mut self, ctx: &mut Context) {
        if let Some(times) = &mut self.0
            && times.due(ctx).is_some_and(|due| due <= ctx.now.monotonic)
        {
            times.hand_over(ctx);
        }
    }
}

impl Times {
    fn hand_over(&mut self, ctx: &mut Context) {
        if ctx.session.is_some() {
            ctx.outputs.push(Output::HandKeyOver);
            self.last = ctx.now.monotonic;
        }
    }

    fn due(&self, ctx: &Context) -> Option<Millis> {
        Some(self.last + PAUSE).filter(|due| ctx.session.is_some() && *due <= self.until)
    }
}
