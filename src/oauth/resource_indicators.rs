//! Access tokens for several APIs from one refresh token (RFC 8707, and the `audience` of providers that have
//! that instead): a rule that names a resource, an audience or scopes gets tokens of its own, for that and no
//! more. Rules that name the same share them.

use crate::base::strings;
use crate::codec::form::Form;
use crate::oauth::token_endpoint::is_scope_token;
use crate::prelude::*;

/// Longest identifier of a resource or audience, in bytes.
pub const MAX_IDENTIFIER: usize = 2048;

/// What an access token is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// RFC 8707 2: an absolute URI without fragment.
    pub resource: Option<String>,
    /// What some providers call the API.
    pub audience: Option<String>,
    /// The scopes of the token, fewer than those of the login (RFC 6749 6).
    pub scope: Option<String>,
}

impl Target {
    /// Whether this is what the login's own token is for: nothing is named.
    #[must_use]
    pub const fn is_default(&self) -> bool {
        self.resource.is_none() && self.audience.is_none() && self.scope.is_none()
    }

    /// Adds the parameters of a refresh (RFC 8707 2.2).
    pub fn push_to(&self, form: &mut Form) {
        for (name, value) in [
            ("resource", &self.resource),
            ("audience", &self.audience),
            ("scope", &self.scope),
        ] {
            if let Some(value) = value {
                form.push(name, value);
            }
        }
    }
}

/// RFC 8707 2, RFC 3986 4.3: a scheme, something after it, and no fragment.
#[must_use]
pub fn is_resource(identifier: &str) -> bool {
    let (scheme, rest) = strings::split_once(identifier, b':');
    let is_scheme = scheme
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || strings::contains_byte(b"+-.", b));
    is_scheme
        && rest.is_some_and(|rest| !rest.is_empty())
        && identifier.len() <= MAX_IDENTIFIER
        && identifier
            .bytes()
            .all(|b| b.is_ascii_graphic() && b != b'#')
}

/// Whether an audience can be one: visible characters, and spaces within.
#[must_use]
pub fn is_audience(identifier: &str) -> bool {
    (1..=MAX_IDENTIFIER).contains(&identifier.len())
        && identifier.bytes().all(|b| matches!(b, b' '..=b'~'))
        && identifier.trim_ascii().len() == identifier.len()
}

/// Whether these scopes are among those of the login, at least one of them.
#[must_use]
pub fn is_narrower(scope: &str, of_login: &str) -> bool {
    strings::split(scope, b' ')
        .all(|one| is_scope_token(one) && strings::contains_word(of_login, one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_an_absolute_uri_without_fragment() {
        for good in [
            "https://api.example.com/",
            "https://api.example.com/a?b=c",
            "urn:example:orders",
            "api://5f",
            "x+y.z-1:a",
        ] {
            assert!(is_resource(good), "{good}");
        }
        let long = "urn:".to_owned() + &"x".repeat(MAX_IDENTIFIER - 3);
        assert!(is_resource(&long[1..]));
        for bad in [
            "",
            "orders",
            "/v1/",
            "//a.test/",
            ":a",
            "urn:",
            "1a:b",
            "a b:c",
            "https://a.test/#b",
            "urn:a b",
            "urn:\u{e9}",
            &long,
        ] {
            assert!(!is_resource(bad), "{bad}");
        }
    }

    #[test]
    fn an_audience_is_any_text_that_can_be_seen() {
        assert!(is_audience("orders api") && is_audience("https://a.test/#b"));
        let long = "x".repeat(MAX_IDENTIFIER + 1);
        assert!(is_audience(&long[1..]));
        for bad in ["", " a", "a ", "a\n", "\u{e9}", &long] {
            assert!(!is_audience(bad), "{bad}");
        }
    }

    #[test]
    fn scopes_of_a_rule_are_among_those_of_the_login() {
        assert!(is_narrower("a", "openid a b") && is_narrower("b a", "a b"));
        for bad in ["", "c", "a  b", "a c", " a"] {
            assert!(!is_narrower(bad, "a b"), "{bad}");
        }
    }

    #[test]
    fn a_refresh_names_what_the_rule_names() {
        let named = |target: &Target| {
            let mut form = Form::new();
            target.push_to(&mut form);
            form.finish()
        };
        assert_eq!(named(&Target::default()), "");
        let target = Target {
            resource: Some("urn:a".to_owned()),
            audience: Some("b".to_owned()),
            scope: Some("c d".to_owned()),
        };
        assert_eq!(named(&target), "resource=urn%3Aa&audience=b&scope=c%20d");
    }
}
