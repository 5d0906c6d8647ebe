//! The stage of a login on another device.

use crate::io::OpId;
use rules::base::clock::{Instant, Millis};
use rules::login::device_authorization::DeviceAuthorization;
use rules::prelude::*;

/// The stage of a login on another device.
pub(crate) enum Device {
    /// The codes were requested from the provider.
    Asked(OpId),
    /// The codes are shown to the user.
    Shown(Box<DeviceAuthorization>, Timing),
}

/// The times that decide when the token endpoint is polled.
pub(crate) struct Timing {
    pub(super) shown_at: Instant,
    pub(super) interval: Millis,
    /// The time of the last poll or of its response. Before the first poll, the time at which the codes arrived.
    pub(super) asked_at: Instant,
    /// The operation of the poll in flight.
    pub(super) op: Option<OpId>,
}

impl Device {
    /// Returns the monotonic time of the next poll or of the codes' expiry, whichever is earlier.
    pub(super) fn due(&self) -> Option<Millis> {
        match self {
            Self::Shown(shown, timing) if timing.op.is_none() => {
                let next = timing.asked_at.monotonic + timing.interval;
                Some(next.min(timing.shown_at.monotonic + shown.expires_in))
            }
            _ => None,
        }
    }

    pub(super) fn awaits(&self, awaited: OpId) -> bool {
        match self {
            Self::Asked(op) => *op == awaited,
            Self::Shown(_, timing) => timing.op == Some(awaited),
        }
    }
}
