//! The state of a call that opens a socket.

use crate::egress::websocket::Place;
use crate::prelude::*;

/// A socket that a page wants to open, or has opened.
pub(in crate::vault) struct Socket {
    pub(in crate::vault) place: Place,
    /// The sub-protocols that the page named.
    pub(in crate::vault) protocols: Vec<String>,
    pub(in crate::vault) probe: Probe,
}

/// The state of the probe, which is an attempt to connect without a token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::vault) enum Probe {
    /// The probe has not begun, or no probe is needed.
    None,
    Pending,
    Passed,
}
