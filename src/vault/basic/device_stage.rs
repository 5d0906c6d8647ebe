//! Stub for logins on other devices, for a build without the Cargo feature `extended`.

use crate::base::clock::Millis;

/// A stand-in type without values.
pub(in crate::vault) enum Device {}

impl Device {
    pub(super) const fn due(&self) -> Option<Millis> {
        match *self {}
    }
}
