//! The limits in the option `session`.

use super::reader::{Options, Seconds};
use crate::base::clock::Millis;

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
    pub fn read(session: &Options<'_>) -> Self {
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
pub fn session<'a>(options: &Options<'a>) -> Options<'a> {
    const WHY: &str = msg!("it must be an object such as { idle: 1800 }");
    options.nested("session", "session.", WHY)
}
