//! The `error_description` of error responses (RFC 6749 4.1.2.1 and 5.2), which tells developers what is wrong.
//!
//! The text is logged, and never reaches a page. It may repeat the request, so it is not logged if it contains a secret
//! of the login.

use crate::prelude::*;

use crate::Secret;
use crate::base::http::Outcome;
use crate::base::strings;
use crate::codec::form;
use crate::codec::json::Value;

/// True if this build logs descriptions.
pub(crate) const IS_LOGGED: bool = true;

/// Longest description that is logged, in characters. A longer one is cut.
const MAX_LEN: usize = 200;

/// A description, and the secrets that it must not contain.
#[derive(Debug, Default)]
pub(crate) struct Description {
    text: Option<Secret>,
    secrets: Vec<Secret>,
}

impl Description {
    /// Reads the parameters of an authorization response. Its secrets are `state` and the code.
    pub(crate) fn of_parameters(params: &[(String, String)]) -> Self {
        let mut description = Self::default();
        for (name, value) in params {
            match name.as_str() {
                "error_description" => description.text = Some(Secret::from(value.as_str())),
                "state" | "code" => description.add(value),
                _ => {}
            }
        }
        description
    }

    /// Adds a secret that the description must not contain.
    pub(crate) fn add(&mut self, secret: &str) {
        if !secret.is_empty() {
            self.secrets.push(Secret::from(secret));
        }
    }

    /// Reads an error response of an endpoint.
    pub(crate) fn read(&mut self, outcome: &Outcome) {
        self.text = None;
        if let Outcome::Reply(reply) = outcome
            && reply.status >= 400
            && let Some(Ok(response)) = reply.json_text().map(Value::parse)
            && let Some(text) = response
                .as_object()
                .and_then(|o| o.str("error_description"))
        {
            self.text = Some(Secret::from(text));
        }
    }

    /// Returns the description in quotation marks. Characters that RFC 6749 does not allow become question marks.
    /// Returns `None` if there is no description, or if it contains one of the secrets or the beginning of a JWT.
    pub(crate) fn quoted(&self) -> Option<String> {
        let text = self.text.as_ref()?.expose();
        let is_in = |secret: &Secret| {
            let secret = secret.expose();
            strings::contains(text, secret) || strings::contains(text, &form::encoded(secret))
        };
        if text.is_empty() || strings::contains(text, "eyJ") || self.secrets.iter().any(is_in) {
            return None;
        }
        let mut quoted = "\"".to_owned();
        for c in text.chars().take(MAX_LEN) {
            let is_allowed = matches!(c, ' '..='~') && c != '"' && c != '\\';
            quoted.push(if is_allowed { c } else { '?' });
        }
        quoted.push('"');
        Some(quoted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::http::tests::json_reply;

    fn of(text: &str, secrets: &[&str]) -> Option<String> {
        let mut description = Description::of_parameters(&[
            ("error_description".to_owned(), text.to_owned()),
            ("state".to_owned(), "st-4711".to_owned()),
        ]);
        for secret in secrets {
            description.add(secret);
        }
        description.quoted()
    }

    #[test]
    fn description_is_quoted_cut_and_printable() {
        assert_eq!(of("No such scope", &[]).unwrap(), "\"No such scope\"");
        assert_eq!(of("a\"b\\c\r\n\u{202e}é", &[]).unwrap(), "\"a?b?c????\"");
        assert_eq!(of(&"x".repeat(201), &[]).unwrap().len(), 202);
        assert_eq!(of("", &[]), None);
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
            assert_eq!(of(text, &["c/0+1"]), None, "{text}");
        }
        // An absent secret does not drop every description.
        assert!(of("No such scope", &["", "c/0+1"]).is_some());
    }

    #[test]
    fn only_error_responses_are_described() {
        let body = r#"{"error":"x","error_description":"Turn it on"}"#;
        let mut description = Description::default();
        for (status, expected) in [(400, true), (200, false), (401, true)] {
            description.read(&Outcome::from(json_reply(status, body)));
            assert_eq!(description.quoted().is_some(), expected, "{status}");
        }
        for body in ["", "{}", r#"{"error_description":1}"#, "[]"] {
            description.read(&Outcome::from(json_reply(400, body)));
            assert_eq!(description.quoted(), None, "{body}");
        }
        description.read(&Outcome::Failed);
        assert_eq!(description.quoted(), None);
    }
}
