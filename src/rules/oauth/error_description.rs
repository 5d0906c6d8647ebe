//! The `error_description` of error responses (RFC 6749 4.1.2.1 and 5.2), which tells developers what is wrong.
//!
//! The text is logged, and never reaches a page. It may repeat the request, so it is not logged if it contains a secret
//! of the login.

use crate::prelude::*;

use crate::Secret;
use crate::base::error::printable;
use crate::base::http::Outcome;
use crate::base::strings;
use crate::codec::form;
use crate::oauth::token_endpoint;

/// Longest description that is logged, in characters. A longer one is cut.
const MAX_LEN: usize = 200;

/// Returns the description in an error response of an endpoint.
pub fn of_response(outcome: &Outcome) -> Option<Secret> {
    let Outcome::Reply(reply) = outcome else {
        return None;
    };
    if reply.status < 400 {
        return None;
    }
    token_endpoint::text_member(reply, "error_description").map(Secret::new)
}

/// Returns true if a description contains `secret`, also form-encoded in any spelling, such as `+` or `%20` for a space.
/// An empty string is not a secret.
pub fn repeats(description: &str, secret: &str) -> bool {
    let is_in = |text: &str| strings::contains(text, secret);
    !secret.is_empty()
        && (is_in(description) || form::decode(description).is_none_or(|text| is_in(&text)))
}

/// Returns the text to log for a description that repeats no secret: the description in quotation marks, in which
/// characters that RFC 6749 does not allow become question marks. Returns `None` if the description is empty, or
/// contains the beginning of a JWT.
pub fn loggable(description: &str) -> Option<String> {
    if description.is_empty() || strings::contains(description, "eyJ") {
        return None;
    }
    let text = printable(description, MAX_LEN, "\"\\");
    Some(["\"", &text, "\""].concat())
}

/// Returns the text to log, as [`loggable`] does, unless the description repeats one of these secrets.
pub fn loggable_without(description: &str, secrets: &[&str]) -> Option<String> {
    let is_secret = secrets.iter().any(|secret| repeats(description, secret));
    loggable(description).filter(|_| !is_secret)
}

#[cfg(test)]
mod tests {
    use super::{loggable_without as logged, *};

    #[test]
    fn description_is_quoted_cut_and_printable() {
        assert_eq!(logged("No such scope", &[]).unwrap(), "\"No such scope\"");
        assert_eq!(
            logged("a\"b\\c\r\n\u{202e}é", &[]).unwrap(),
            "\"a?b?c????\""
        );
        let cut = ["\"", &"x".repeat(200), "...\""].concat();
        assert_eq!(logged(&"x".repeat(201), &[]).unwrap(), cut);
        assert_eq!(logged("", &[]), None);
    }

    #[test]
    fn description_with_a_secret_is_dropped() {
        for text in [
            "state st-4711 is unknown",
            "code=c%2F0%2B1 was used",
            "code c/0+1 was used",
            "token eyJhbGciOiJub25lIn0.e30. is bad",
            // The secret is after the place at which the text is cut.
            &["x".repeat(300), "c/0+1".to_owned()].concat(),
        ] {
            assert_eq!(logged(text, &["st-4711", "c/0+1"]), None, "{text}");
        }
        // A refresh token with a space, in the spellings of several encoders.
        let token = "a b|:)\\";
        for text in [
            "token a b|:)\\ was used",
            "token=a+b%7C%3A%29%5C was used",
            "token=a%20b%7C%3A%29%5C was used",
            "token=a%20b%7c%3a)%5c was used",
            "token=a%20b%7C%3A%29%5C and a%FF",
        ] {
            assert_eq!(logged(text, &[token]), None, "{text}");
        }
        assert!(logged("token a b was used", &[token]).is_some());
        // An absent secret does not drop every description.
        assert!(logged("No such scope", &["", "c/0+1"]).is_some());
    }

    #[test]
    fn only_error_responses_are_described() {
        use crate::base::http::tests::json_reply;

        let described = |reply| of_response(&Outcome::from(reply)).is_some();
        let body = r#"{"error":"x","error_description":"Turn it on"}"#;
        for (status, expected) in [(400, true), (200, false), (401, true)] {
            assert_eq!(described(json_reply(status, body)), expected, "{status}");
        }
        for body in ["", "{}", r#"{"error_description":1}"#, "[]"] {
            assert!(!described(json_reply(400, body)), "{body}");
        }
        assert!(of_response(&Outcome::Failed).is_none());
    }
}
