//! A build without DPoP.

/// Nothing: this build has no proofs.
#[derive(Default)]
pub(super) struct Dpop;
