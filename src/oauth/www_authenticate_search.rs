//! Search of `WWW-Authenticate` in the smaller module for browsers, which has no parser of the header.

/// Returns true if the header contains this `error` anywhere (RFC 6750 3.1). It compares bytes, because the standard library's
/// search for a string adds 2 KB to the module.
#[must_use]
pub fn has_error(header: &str, error: &str) -> bool {
    let mut windows = header.as_bytes().windows(error.len());
    windows.any(|window| window == error.as_bytes())
}
