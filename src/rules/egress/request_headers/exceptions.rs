//! The exceptions of a rule from the list of headers that a page may not set, and the headers that the token handler
//! removes.

use super::{FIXED, RANGES, TRUSTED, as_read, is_among};
use crate::base::strings;
use crate::prelude::*;

/// Headers with other credentials. The token handler removes these headers, but the vault allows them. A page may send
/// its own key to an API gateway, but a request with a session cookie must not carry a key that another party chose.
const CREDENTIALS: &str = "\
    x-auth-* x-authorization x-access-token x-api-key x-apikey x-api-token api-key apikey private-token x-vault-token \
    x-hasura-admin-secret x-goog-api-key x-functions-key ocp-apim-subscription-key x-amz-security-token";
/// Headers that concern the handler itself. The handler removes `Accept-Encoding` because the platform requests the
/// encodings that it can decode.
const HANDLERS_OWN: &str = "x-strongroom accept-encoding";

/// The exceptions of a rule: the names of headers that the rule allows or denies, separated by spaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exceptions {
    allowed: String,
    denied: String,
}

impl Exceptions {
    /// Allows the header of this name. Returns false if no rule can allow this header.
    #[must_use]
    pub fn allow(&mut self, name: &str) -> bool {
        let name = as_read(name);
        push(&mut self.allowed, &name);
        !is_among(FIXED, &name)
    }

    /// Returns true if a header that concerns the token handler itself is allowed.
    #[must_use]
    pub fn allow_handlers_own(&self) -> bool {
        strings::split(HANDLERS_OWN, b' ').any(|name| self.has_allowed(name))
    }

    /// Denies the header of this name.
    pub fn deny(&mut self, name: &str) {
        push(&mut self.denied, &as_read(name));
    }

    pub(super) fn has_allowed(&self, name: &str) -> bool {
        is_among(&self.allowed, name)
    }

    pub(super) fn has_denied(&self, name: &str) -> bool {
        is_among(&self.denied, name)
    }

    /// Returns the names that the token handler keeps although [`Self::removed_by_default`] may list them, separated by
    /// spaces.
    #[must_use]
    pub fn kept(&self) -> &str {
        &self.allowed
    }

    /// Returns the names that the token handler removes from each request, separated by spaces.
    #[must_use]
    pub fn removed_by_default() -> String {
        [FIXED, " ", TRUSTED, " ", CREDENTIALS, " ", HANDLERS_OWN].concat()
    }

    /// Returns the names that the token handler removes besides those of [`Self::removed_by_default`]. `is_searched` is
    /// true if response bodies are searched for the token.
    #[must_use]
    pub fn removed(&self, is_searched: bool) -> String {
        let mut names = self.denied.clone();
        for name in strings::split(RANGES, b' ') {
            if is_searched && self.refuse_range(name) {
                push(&mut names, name);
            }
        }
        names
    }
}

fn push(names: &mut String, name: &str) {
    if !names.is_empty() {
        names.push(' ');
    }
    names.push_str(name);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_allows_and_denies_more_names() {
        let mut exceptions = Exceptions::default();
        assert!(exceptions.allow("X_Amzn-Trace-Id"));
        assert!(exceptions.allow("Range"));
        exceptions.deny("X-Api_Key");
        assert!(!exceptions.refuse("x-amzn-trace-id"));
        assert!(exceptions.refuse("x-amzn-oidc-data"));
        assert!(!exceptions.refuse_range("range"));
        assert!(exceptions.refuse_range("If-Range"));
        assert!(exceptions.refuse("x-api-key"));
        assert!(exceptions.refuse("X_API_KEY"));
    }

    #[test]
    fn denied_headers_win_over_allowed_ones() {
        let mut exceptions = Exceptions::default();
        assert!(exceptions.allow("cf-ray"));
        exceptions.deny("cf-ray");
        assert!(exceptions.refuse("cf-ray"));
    }

    // claim: script-10
    #[test]
    fn no_rule_allows_credential_or_framing_headers() {
        for name in strings::split_list(FIXED) {
            let name = name.replace('*', "x");
            assert!(!Exceptions::default().allow(&name), "{name}");
            let mut exceptions = Exceptions::default();
            let _ = exceptions.allow(&name.replace('-', "_"));
            assert!(!exceptions.allow(&name.replace('-', "_")), "{name}");
        }
    }

    #[test]
    fn headers_of_the_token_handler_are_recognized() {
        for (name, expected) in [
            ("X-Strongroom", true),
            ("Accept_Encoding", true),
            ("Accept", false),
        ] {
            let mut exceptions = Exceptions::default();
            assert!(exceptions.allow(name), "{name}");
            assert_eq!(exceptions.allow_handlers_own(), expected, "{name}");
        }
    }
}
