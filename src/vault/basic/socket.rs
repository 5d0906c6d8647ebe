//! A build without sockets.

/// A stand-in type without values.
pub(in crate::vault) enum BoxedSocket {}
