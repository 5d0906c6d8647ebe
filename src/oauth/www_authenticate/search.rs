//! Search for an error in `WWW-Authenticate`, in place of the parser, which would add 0.8 KB to the smallest module.

use crate::base::http::is_token_byte;

/// Returns true if the header has this `error` (RFC 6750 3.1). A description that mentions the error does not count.
/// The search compares bytes, because the standard library's search for a string adds 2 KB to the module.
#[must_use]
pub(super) fn has_error(header: &str, error: &str) -> bool {
    let header = header.as_bytes();
    let mut windows = header.windows(error.len()).enumerate();
    windows.any(|(at, window)| {
        let before = &header[..at];
        let before = before.strip_suffix(b"\"").unwrap_or(before);
        let next = header.get(at + error.len());
        window == error.as_bytes()
            && before.ends_with(b"error=")
            && !next.is_some_and(|byte| is_token_byte(*byte))
    })
}

#[cfg(test)]
mod tests {
    use super::has_error;

    #[test]
    fn error_counts_with_and_without_quotes() {
        let quoted = "DPoP, Bearer error=\"insufficient_scope\"";
        assert!(has_error(quoted, "insufficient_scope"));
        let unquoted = "Bearer error=insufficient_scope";
        assert!(has_error(unquoted, "insufficient_scope"));
        let other = "Bearer error=\"invalid_token\"";
        assert!(!has_error(other, "insufficient_scope"));
        let longer = "Bearer error=insufficient_scope_x, realm=a";
        assert!(!has_error(longer, "insufficient_scope"));
    }

    #[test]
    fn error_in_a_description_does_not_count() {
        let header = "Bearer error=\"invalid_token\", error_description=\"not insufficient_scope\"";
        assert!(!has_error(header, "insufficient_scope"));
    }
}
