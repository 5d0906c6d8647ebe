//! A stand-in for the reasons of refused refresh tokens, which need the Cargo feature `extended`.

use crate::base::http::Outcome;
use crate::session::EndReason;

/// Returns the reason for which the session ended. This build does not distinguish reasons.
#[must_use]
pub const fn end_reason(_: &Outcome) -> EndReason {
    EndReason::ProviderEnded
}
