//! PushOutcome authorization requests (RFC 9126): the parameters go to the provider itself, and the user's browser gets a
//! reference to them. Script of the page cannot read or change the request: it knows neither `nonce` nor
//! `code_challenge`, so a request that it pushes in place of this one does not fit the login.
//!
//! A reference is for one login. Each login pushes its own request, and the reference is in the address that the
//! page gets once, and nowhere else.

use crate::prelude::*;

use crate::base::error::{Code, Error};
use crate::base::http::{HttpRequest, Outcome};
use crate::codec::form::{Form, with_query};
use crate::codec::json::Value;
use crate::oauth::authorization_request::{AuthorizationRequest, refusal};
use crate::oauth::metadata::Metadata;
use crate::oauth::token_endpoint::{self, Scheme};

/// Longest `request_uri`, in bytes.
const MAX_URI: usize = 2048;

/// The request that pushes a login's parameters to `endpoint` (RFC 9126 2.1).
#[must_use]
pub fn request(endpoint: &str, begun: &AuthorizationRequest) -> HttpRequest {
    let mut form = Form::new();
    form.push_encoded(&begun.parameters);
    token_endpoint::post(endpoint, form)
}

/// The result of a push.
#[derive(Debug)]
pub enum PushOutcome {
    /// The provider has accepted the request, under this `request_uri`.
    Accepted(String),
    /// This client cannot push requests here, whatever they ask for.
    Unsupported(Error),
    /// There was no response, or none that the browser lets this origin read.
    Unreadable(Error),
    /// Something is wrong with this request, or with the provider at the moment.
    Failed(Error),
}

/// Reads the response (RFC 9126 2.2 and 2.3).
///
/// The errors are [`Code::ProviderUnavailable`], [`Code::ClientRejected`], [`Code::LoginFailed`], or the one that the
/// same error code means in a response of the authorization endpoint.
#[must_use]
pub fn read(outcome: &Outcome) -> PushOutcome {
    let unavailable = |why| Error::new(Code::ProviderUnavailable, why);
    let reply = match outcome {
        Outcome::Reply(reply) => reply,
        Outcome::Opaque => return PushOutcome::Unreadable(silent()),
        _ => return PushOutcome::Failed(silent()),
    };
    if reply.status == 201 {
        let text = reply.json_text().unwrap_or_default();
        let uri = Value::parse(text).ok().as_ref().and_then(request_uri);
        return uri.map_or_else(|| PushOutcome::Failed(unusable()), PushOutcome::Accepted);
    }
    let mut is_closed = matches!(reply.status, 401 | 403 | 404 | 405);
    let error = match token_endpoint::read(reply, Scheme::Bearer) {
        token_endpoint::TokenResponse::Refused(code) => match code.as_str() {
            "invalid_client" | "unauthorized_client" => {
                is_closed = true;
                Error::of(
                    Code::ClientRejected,
                    &[
                        msg!("the pushed authorization request endpoint answered "),
                        &code,
                    ],
                )
            }
            _ => refusal(&code, false),
        },
        token_endpoint::TokenResponse::Wait(_) | token_endpoint::TokenResponse::ServerError => {
            unavailable(msg!("the pushed authorization request endpoint failed"))
        }
        token_endpoint::TokenResponse::Tokens(_) | token_endpoint::TokenResponse::Unusable(_) => {
            unusable()
        }
    };
    if is_closed {
        PushOutcome::Unsupported(error)
    } else {
        PushOutcome::Failed(error)
    }
}

/// The address for the user's browser, after the provider has accepted the request as `request_uri` (RFC 9126 4).
///
/// For logins by popup and silent ones it contains `state`, by which pages recognize their response; the provider ignores
/// it there (RFC 9101 6.3). Others leave it out, since it opens the record of a login that is stored.
#[must_use]
pub fn authorization_url(
    request_uri: &str,
    metadata: &Metadata,
    client_id: &str,
    begun: &AuthorizationRequest,
) -> String {
    let mut form = Form::new();
    form.push("client_id", client_id)
        .push("request_uri", request_uri);
    if begun.pending.popup || begun.pending.is_silent {
        form.push("state", &begun.state);
    }
    with_query(&metadata.authorization_endpoint, &form.finish())
}

/// The result of a push without a readable response. `is_reachable`: the probe after it brought the metadata.
pub(crate) fn after_probe(is_reachable: bool) -> PushOutcome {
    if is_reachable {
        PushOutcome::Unsupported(silent())
    } else {
        PushOutcome::Failed(silent())
    }
}

/// There was no response, or none that the browser lets this origin read.
fn silent() -> Error {
    Error::new(
        Code::ProviderUnavailable,
        msg!(
            "the pushed authorization request endpoint did not answer (is it up, and does its CORS allow this origin?)"
        ),
    )
}

fn unusable() -> Error {
    Error::new(
        Code::LoginFailed,
        msg!(
            "the pushed authorization request endpoint's answer has no sound request_uri and expires_in"
        ),
    )
}

/// `request_uri` of an answer in which all is sound.
fn request_uri(answer: &Value) -> Option<String> {
    let answer = answer.as_object()?;
    let uri = answer.str("request_uri")?;
    let is_sound = (1..=MAX_URI).contains(&uri.len()) && uri.bytes().all(|b| b.is_ascii_graphic());
    let lasts = answer.get("expires_in")?.as_u64()? > 0;
    (is_sound && lasts).then(|| uri.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::http::tests::json_reply;

    fn pushed(status: u16, body: &str) -> PushOutcome {
        super::read(&Outcome::from(json_reply(status, body)))
    }

    fn read(status: u16, body: &str) -> crate::Result<String> {
        match pushed(status, body) {
            PushOutcome::Accepted(uri) => Ok(uri),
            PushOutcome::Unsupported(error)
            | PushOutcome::Unreadable(error)
            | PushOutcome::Failed(error) => Err(error),
        }
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
    fn only_client_errors_close_the_push_endpoint() {
        let closed =
            |status, body: &str| matches!(pushed(status, body), PushOutcome::Unsupported(_));
        for (status, body) in [
            (400, r#"{"error":"invalid_client"}"#),
            (400, r#"{"error":"unauthorized_client"}"#),
            (401, ""),
            (401, r#"{"error":"invalid_request"}"#),
            (403, "<html>"),
            (404, ""),
            (405, ""),
        ] {
            assert!(closed(status, body), "{status} {body}");
        }
        for (status, body) in [
            (201, r#"{"error":"invalid_client"}"#),
            (400, ""),
            (400, r#"{"error":"invalid_request"}"#),
            (400, r#"{"error":"invalid_scope"}"#),
            (402, ""),
            (406, ""),
            (408, ""),
            (413, ""),
            (429, ""),
            (500, r#"{"error":"invalid_client"}"#),
            (503, ""),
        ] {
            assert!(!closed(status, body), "{status} {body}");
        }
        assert!(matches!(
            super::read(&Outcome::Failed),
            PushOutcome::Failed(_)
        ));
        assert!(matches!(
            super::read(&Outcome::Opaque),
            PushOutcome::Unreadable(_)
        ));
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
        let PushOutcome::Failed(failed) = super::read(&Outcome::Failed) else {
            panic!("not failed");
        };
        assert_eq!(failed.code(), Code::ProviderUnavailable);
    }
}
