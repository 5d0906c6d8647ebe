//! Access tokens for several APIs from one refresh token (RFC 8707, or the `audience` parameter of some providers). An
//! API rule with a resource, an audience or scopes has its own access tokens, which are limited to these values. Rules
//! with the same values share their tokens.

use crate::base::strings;
use crate::codec::form::Form;
use crate::prelude::*;

/// Longest identifier of a resource or audience, in bytes.
pub const MAX_IDENTIFIER: usize = 2048;

/// The resource, audience and scopes of an access token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// `resource`: an absolute URI without fragment (RFC 8707 2).
    pub resource: Option<String>,
    /// `audience`, which some providers use instead of `resource`.
    pub audience: Option<String>,
    /// `scope`: some of the login's scopes, separated by spaces (RFC 6749 6).
    pub scope: Option<String>,
}

impl Target {
    /// Returns true if the target has no resource, audience or scopes. The login's access token then suffices.
    #[must_use]
    pub const fn is_default(&self) -> bool {
        self.resource.is_none() && self.audience.is_none() && self.scope.is_none()
    }

    /// Adds the parameters to a token request (RFC 8707 2.2).
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

/// Returns true for an absolute URI without fragment (RFC 8707 2, RFC 3986 4.3).
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

/// Returns true for a valid audience: printable ASCII without spaces at the ends.
#[must_use]
pub fn is_audience(identifier: &str) -> bool {
    (1..=MAX_IDENTIFIER).contains(&identifier.len())
        && identifier.bytes().all(|b| matches!(b, b' '..=b'~'))
        && identifier.trim_ascii().len() == identifier.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resource_is_an_absolute_uri_without_fragment() {
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
    fn audience_is_printable_ascii() {
        assert!(is_audience("orders api") && is_audience("https://a.test/#b"));
        let long = "x".repeat(MAX_IDENTIFIER + 1);
        assert!(is_audience(&long[1..]));
        for bad in ["", " a", "a ", "a\n", "\u{e9}", &long] {
            assert!(!is_audience(bad), "{bad}");
        }
    }

    #[test]
    fn refresh_has_the_parameters_of_the_rule() {
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
