//! The list of headers that a page may not set.

pub(crate) use kit::request_headers::{CREDENTIALS, FIXED, TRUSTED};

/// Headers that the token handler removes for its own use.
pub(crate) const HANDLERS_OWN: &[&str] = &["x-strongroom", "accept-encoding"];
