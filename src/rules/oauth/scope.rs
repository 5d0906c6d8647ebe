//! Scopes (RFC 6749 3.3).

use crate::base::strings;

/// Returns true for a valid scope token (RFC 6749 3.3): one or more printable ASCII characters other than space, `"`
/// and `\`.
pub(crate) fn is_scope_token(scope: &str) -> bool {
    !scope.is_empty()
        && scope
            .bytes()
            .all(|b| matches!(b, b'!' | b'#'..=b'[' | b']'..=b'~'))
}

/// Returns the scope tokens of a `scope`. Some providers separate scopes by more than one space.
pub(crate) fn scope_tokens(scope: &str) -> impl Iterator<Item = &str> {
    strings::split(scope, b' ').filter(|token| !token.is_empty())
}

/// Returns true if `scope` consists of one or more valid scope tokens, separated by single spaces, that are all in
/// `granted`.
#[must_use]
pub fn is_narrower(scope: &str, granted: &str) -> bool {
    strings::split(scope, b' ')
        .all(|token| is_scope_token(token) && strings::contains_word(granted, token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scope_tokens_skip_repeated_spaces() {
        let tokens: Vec<&str> = scope_tokens("  openid   email ").collect();
        assert_eq!(tokens, ["openid", "email"]);
        assert_eq!(scope_tokens("").count(), 0);
    }

    #[test]
    fn scope_token_excludes_space_quote_and_backslash() {
        assert!(is_scope_token("https://api.test/read:all"));
        for invalid in ["", "a b", "a\"b", "a\\b", "a\tb", "\u{e9}"] {
            assert!(!is_scope_token(invalid), "{invalid}");
        }
    }

    #[test]
    fn rule_scopes_must_be_scopes_of_the_login() {
        assert!(is_narrower("a", "openid a b") && is_narrower("b a", "a b"));
        for invalid in ["", "c", "a  b", "a c", " a"] {
            assert!(!is_narrower(invalid, "a b"), "{invalid}");
        }
    }
}
