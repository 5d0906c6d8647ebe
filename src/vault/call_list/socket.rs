//! The state of a call that opens a socket.

use rules::egress::websocket::Place;
use rules::prelude::*;

/// A socket that a page wants to open, or has opened.
pub(crate) struct Socket {
    pub(crate) place: Place,
    /// The sub-protocols that the page named.
    pub(crate) protocols: Vec<String>,
    pub(crate) probe: Probe,
}

/// The state of the probe, which is an attempt to connect without a token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    /// The probe has not begun, or no probe is needed.
    None,
    Pending,
    Passed,
}
