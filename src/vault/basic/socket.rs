//! A build without sockets.

/// No such value exists.
pub(in crate::vault) enum BoxedSocket {}
