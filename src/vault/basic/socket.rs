//! Stub for the state of a socket, for a build without the Cargo feature `extended`.

/// A stand-in type without values.
pub(in crate::vault) enum BoxedSocket {}
