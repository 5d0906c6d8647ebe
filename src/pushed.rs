//! An authorization request may be handed to the provider itself, and the user's browser gets only a reference to
//! it (RFC 9126): nobody on the way reads its parameters, and nobody changes them.
//!
//! A reference is for one login. Each login pushes its own request, and the reference is in the address that the
//! page gets once, and nowhere else.

use crate::prelude::*;

use crate::authorize::{Begun, refusal};
use crate::error::{Code, Error, Result};
use crate::form::{Form, with_query};
use crate::http::{HttpRequest, Outcome};
use crate::json::Value;
use crate::metadata::Metadata;
use crate::token::{self, Scheme};

/// Longest `request_uri`, in bytes.
const MAX_URI: usize = 2048;

/// The request that pushes a login's parameters to `endpoint` (RFC 9126 2.1).
#[must_use]
pub fn request(endpoint: &str, begun: &Begun) -> HttpRequest {
    let mut form = Form::new();
    form.push_encoded(&begun.parameters);
    token::post(endpoint, form)
}

/// The address for the user's browser, after the provider has taken the request (RFC 9126 4).
///
/// It has the `state` too, which the provider does not heed there (RFC 9101 6.3): pages tell by it which answer is
/// whose.
///
/// # Errors
/// [`Code::ProviderUnavailable`], [`Code::ClientRejected`], [`Code::LoginFailed`] or what else the authorization
/// endpoint would have said.
pub fn address(
    outcome: &Outcome,
    metadata: &Metadata,
    client_id: &str,
    begun: &Begun,
) -> Result<String> {
    let request_uri = request_uri(outcome)?;
    let mut form = Form::new();
    form.push("client_id", client_id)
        .push("request_uri", &request_uri)
        .push("state", &begun.state);
    Ok(with_query(&metadata.authorization_endpoint, &form.finish()))
}

/// Reads the answer (RFC 9126 2.2 and 2.3).
fn request_uri(outcome: &Outcome) -> Result<String> {
    let unavailable = |why| Error::new(Code::ProviderUnavailable, why);
    let Outcome::Reply(reply) = outcome else {
        return Err(unavailable(words!(
            "the pushed authorization request endpoint did not answer (is it up, and does its CORS allow this origin?)"
        )));
    };
    if reply.status == 201 {
        let text = reply.json_text().unwrap_or_default();
        return Value::parse(text)
            .ok()
            .as_ref()
            .and_then(taken)
            .ok_or_else(unusable);
    }
    Err(match token::read(reply, Scheme::Bearer) {
        token::Answer::Refused(code) => match code.as_str() {
            "invalid_client" | "unauthorized_client" => Error::of(
                Code::ClientRejected,
                &[
                    words!("the pushed authorization request endpoint answered "),
                    &code,
                ],
            ),
            _ => refusal(&code),
        },
        token::Answer::Wait(_) | token::Answer::ServerFault => {
            unavailable(words!("the pushed authorization request endpoint failed"))
        }
        token::Answer::Tokens(_) | token::Answer::Unusable(_) => unusable(),
    })
}

fn unusable() -> Error {
    Error::new(
        Code::LoginFailed,
        words!(
            "the pushed authorization request endpoint's answer has no sound request_uri and expires_in"
        ),
    )
}

/// `request_uri` of an answer in which all is sound.
fn taken(answer: &Value) -> Option<String> {
    let answer = answer.as_object()?;
    let uri = answer.str("request_uri")?;
    let is_sound = (1..=MAX_URI).contains(&uri.len()) && uri.bytes().all(|b| b.is_ascii_graphic());
    let lasts = answer.get("expires_in")?.as_u64()? > 0;
    (is_sound && lasts).then(|| uri.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::tests::json_reply;

    fn read(status: u16, body: &str) -> Result<String> {
        request_uri(&Outcome::Reply(json_reply(status, body)))
    }

    #[test]
    fn a_reference_counts_only_with_201_and_its_time() {
        let good = r#"{"request_uri":"urn:ietf:params:oauth:request_uri:a","expires_in":60}"#;
        assert_eq!(
            read(201, good).unwrap(),
            "urn:ietf:params:oauth:request_uri:a"
        );
        for (status, body) in [
            (200, good),
            (204, ""),
            (302, good),
            (201, ""),
            (201, "null"),
            (201, "<html>"),
            (201, r#"{"request_uri":"urn:a"}"#),
            (201, r#"{"request_uri":"urn:a","expires_in":0}"#),
            (201, r#"{"request_uri":"urn:a","expires_in":-1}"#),
            (201, r#"{"request_uri":"urn:a","expires_in":"60"}"#),
            (201, r#"{"request_uri":"","expires_in":60}"#),
            (201, r#"{"request_uri":"urn:a b","expires_in":60}"#),
            (201, r#"{"request_uri":"urn:a\r\nb","expires_in":60}"#),
            (
                201,
                r#"{"request_uri":"urn:a","request_uri":"urn:b","expires_in":60}"#,
            ),
            (201, r#"{"request_uri":["urn:a"],"expires_in":60}"#),
        ] {
            let error = read(status, body).expect_err(body);
            assert_eq!(error.code(), Code::LoginFailed, "{status} {body}");
        }
        let long = format!(
            r#"{{"request_uri":"{}","expires_in":60}}"#,
            "a".repeat(MAX_URI + 1)
        );
        assert!(read(201, &long).is_err());
    }

    #[test]
    fn each_refusal_has_its_code() {
        for (status, body, code) in [
            (400, r#"{"error":"invalid_request"}"#, Code::LoginFailed),
            (400, r#"{"error":"invalid_scope"}"#, Code::LoginFailed),
            (403, r#"{"error":"access_denied"}"#, Code::LoginDenied),
            (401, r#"{"error":"invalid_client"}"#, Code::ClientRejected),
            (
                400,
                r#"{"error":"unauthorized_client"}"#,
                Code::ClientRejected,
            ),
            (
                400,
                r#"{"error":"temporarily_unavailable"}"#,
                Code::ProviderUnavailable,
            ),
            (413, "", Code::LoginFailed),
            (405, "<html>", Code::LoginFailed),
            (429, "", Code::ProviderUnavailable),
            (500, "", Code::ProviderUnavailable),
            (503, "", Code::ProviderUnavailable),
        ] {
            assert_eq!(
                read(status, body).expect_err(body).code(),
                code,
                "{status} {body}"
            );
        }
        let failed = request_uri(&Outcome::Failed).unwrap_err();
        assert_eq!(failed.code(), Code::ProviderUnavailable);
    }
}
