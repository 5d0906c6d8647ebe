//! The option `session.persist`.

use rules::codec::json::Value;
use rules::config::Options;
use rules::prelude::*;

/// The option `persist`, which decides where sessions are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persist {
    /// In the worker's memory only.
    Memory,
    /// In the store, sealed with a key that the store contains.
    Sealed,
    /// In the store, sealed with a key that a service worker holds in escrow.
    Escrow,
}

impl Persist {
    /// Reads the option from the options in `session`.
    pub(super) fn read(session: &Options<'_>) -> Self {
        match session.object.get("persist").map(Value::as_str) {
            None | Some(Some("memory")) => {}
            Some(Some("sealed")) => return Self::Sealed,
            Some(Some("escrow")) => return Self::Escrow,
            Some(_) => session.refuse("persist", msg!("it must be 'memory', 'sealed' or 'escrow'")),
        }
        Self::Memory
    }
}
