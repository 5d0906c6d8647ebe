//! The list of headers that a page may not set.

#[path = "../world/request_headers.rs"]
mod list;

pub(crate) use list::{CREDENTIALS, FIXED, TRUSTED};

/// Those that the token handler removes for its own sake.
pub(crate) const HANDLERS_OWN: &[&str] = &["x-strongroom", "accept-encoding"];
