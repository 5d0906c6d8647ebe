//! The options that the configurations of a vault and of a token handler share, and the readers of options.
//!
//! A configuration is read once from JSON and validated as a whole. All faults together are one error,
//! [`Code::ConfigInvalid`](crate::Code::ConfigInvalid), with a line for each fault, ten at most. A line names the option and
//! says what to write instead. An unknown option is a fault too, since a misspelled limit would have no effect.

mod faults;
pub(crate) mod flow;
pub mod identity;
mod limits;
pub mod provider;
pub mod reader;
pub mod request;
pub mod rule;

use crate::oauth::pkce;

pub use faults::{Faults, fault};
pub use flow::Flow;
pub use limits::{Limits, session};
pub use reader::Options;
pub use request::Redirection;

/// The longest configuration, in bytes of JSON.
pub const MAX_CONFIG: usize = 64 * 1024;

/// Returns the fingerprint of a build or of an app. It only distinguishes builds and apps, so it does not have to be
/// hard to forge.
#[must_use]
pub fn fingerprint(text: &str) -> u32 {
    let [first, second, third, fourth, ..] = pkce::sha256(text.as_bytes());
    u32::from_be_bytes([first, second, third, fourth])
}
