//! Lists of request headers that the token handler must not forward.

pub(crate) use kit::request_headers::{CREDENTIALS, FIXED, TRUSTED, alternatives, is_matched};

/// Headers that the token handler removes because it uses them itself.
pub(crate) const HANDLERS_OWN: &[&str] = &["x-strongroom", "accept-encoding"];
