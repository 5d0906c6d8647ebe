//! The option `session`: how long sessions last, and where they are stored.

use super::reader::{Options, Seconds};
use crate::base::clock::Millis;
use crate::codec::json::Value;

const SESSION_LIMIT: Seconds = Seconds {
    least: 1,
    most: 365 * 24 * 3600,
    why: msg!("it must be a whole number of seconds from 1 to 31536000, a year"),
};

/// The limits on the duration of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest time without activity of the user.
    pub idle: Millis,
    /// The longest time that a session lasts after its login.
    pub absolute: Millis,
}

impl Limits {
    /// Reads the limits from the options in `session`.
    pub(crate) fn read(session: &Options<'_>) -> Self {
        const HALF_HOUR: u64 = 1800;
        const HALF_DAY: u64 = 43_200;
        let absolute = session.seconds("absolute", HALF_DAY, &SESSION_LIMIT);
        let default_idle = HALF_HOUR.min(absolute.as_secs());
        let idle = session.seconds("idle", default_idle, &SESSION_LIMIT);
        if idle > absolute {
            let why =
                msg!("it must not be longer than `session.absolute`, or it never takes effect");
            session.refuse("idle", why);
        }
        Self { idle, absolute }
    }
}

/// Returns the options in `session`.
pub(crate) fn options<'a>(options: &Options<'a>) -> Options<'a> {
    const WHY: &str = msg!("it must be an object such as { idle: 1800 }");
    options.nested("session", "session.", WHY)
}

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
