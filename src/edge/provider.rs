//! All requests to the provider: its documents, tokens, and the proofs and keys that these need.

pub(super) mod documents;
pub(super) mod dpop;
pub(super) mod requests;
pub(super) mod tokens;
pub(super) mod verification;
