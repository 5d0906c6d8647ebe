//! Pushed authorization requests (RFC 9126): the parameters are sent to the provider directly, and the user's browser
//! gets a reference to them. Scripts of the page cannot read or change the request. Scripts know neither `nonce` nor
//! `code_challenge`, so a request that a script pushes instead does not match the login.
//!
//! Each login pushes its own request. The page gets the reference once, in the authorization URL.

use crate::prelude::*;

use crate::base::error::{Code, Error, quote_url};
use crate::base::http::{HttpRequest, Outcome};
use crate::codec::form::{Form, with_query};
use crate::codec::json::{self, Value};
use crate::codec::url;
use crate::login::authorization_request::AuthorizationRequest;
use crate::login::authorization_response::authorization_error;
use crate::oauth::metadata::Metadata;
use crate::oauth::token_endpoint::{self, Scheme};

/// Longest `request_uri`, in bytes.
const MAX_URI: usize = 2048;

/// Builds the request that pushes the parameters of a login to `endpoint` (RFC 9126 2.1).
#[must_use]
pub fn request(endpoint: &str, pushed: &AuthorizationRequest) -> HttpRequest {
    let mut form = Form::new();
    form.push_encoded(&pushed.parameters);
    token_endpoint::post(endpoint, form)
}

/// The result of a push.
#[derive(Debug)]
pub enum PushOutcome {
    /// The provider accepted the request and returned this `request_uri`.
    Accepted(String),
    /// The provider does not accept pushed requests from this client.
    Unsupported(Error),
    /// The device is online, but no response could be read: the network failed, or CORS hides the response.
    Unreadable(Error),
    /// The provider refused this request, failed or did not respond, or its response is malformed.
    Failed(Error),
}

/// Classifies the outcome of a push to `endpoint` (RFC 9126 2.2 and 2.3). `is_public` is true if the client did not
/// authenticate.
///
/// The errors are [`Code::ProviderUnavailable`] without a usable response, [`Code::ClientRejected`] for a rejected
/// client, [`Code::LoginFailed`] for a malformed response, or the error that an authorization response with the same
/// `error` would cause.
#[must_use]
pub fn read(outcome: &Outcome, endpoint: &str, is_public: bool) -> PushOutcome {
    let unavailable = |why| Error::new(Code::ProviderUnavailable, why);
    let reply = match outcome {
        Outcome::Reply(reply) => reply,
        Outcome::Opaque => return PushOutcome::Unreadable(no_response()),
        _ => return PushOutcome::Failed(no_response()),
    };
    if reply.status == 201 {
        let response = token_endpoint::json_value(reply);
        let uri = response.as_ref().and_then(request_uri);
        return uri.map_or_else(|| PushOutcome::Failed(malformed()), PushOutcome::Accepted);
    }
    let mut is_unsupported = matches!(reply.status, 401 | 403 | 404 | 405);
    let error = match token_endpoint::read(reply, Scheme::Bearer.into()) {
        token_endpoint::TokenResponse::Refused(code) => match code.as_str() {
            "invalid_client" | "unauthorized_client" => {
                is_unsupported = true;
                Error::of(
                    Code::ClientRejected,
                    &[
                        msg!("the pushed authorization request endpoint responded with "),
                        &code,
                    ],
                )
            }
            _ => authorization_error(&code, false),
        },
        token_endpoint::TokenResponse::Wait(_) | token_endpoint::TokenResponse::ServerError => {
            unavailable(msg!("the pushed authorization request endpoint failed"))
        }
        token_endpoint::TokenResponse::Unusable(_) if reply.status >= 400 => {
            refused(reply.status, endpoint, is_public)
        }
        token_endpoint::TokenResponse::Tokens(_) | token_endpoint::TokenResponse::Unusable(_) => {
            malformed()
        }
    };
    if is_unsupported {
        PushOutcome::Unsupported(error)
    } else {
        PushOutcome::Failed(error)
    }
}

/// Adds `redirect_uri` to the error of a failed push. A provider's usual reason to refuse a request is that this URI is
/// not registered, and its response does not say which URI it compared.
pub fn with_redirect_uri(error: Error, redirect_uri: &str) -> Error {
    if error.code() != Code::LoginFailed {
        return error;
    }
    let message = [
        error.message(),
        msg!("; the redirect URI of the request was "),
        &quote_url(redirect_uri),
        if url::is_loopback_http(redirect_uri) {
            msg!(
                " (register it, or open the app at the address that is registered: localhost and 127.0.0.1 differ)"
            )
        } else {
            ""
        },
    ];
    Error::of(Code::LoginFailed, &message)
}

/// Returns the authorization URL for a pushed request (RFC 9126 4).
///
/// For popup and silent logins, the URL contains `state`, by which pages recognize their response. The provider ignores
/// this parameter (RFC 9101 6.3). For other logins, the URL has no `state`, since `state` gives access to a stored
/// login.
#[must_use]
pub fn authorization_url(
    request_uri: &str,
    metadata: &Metadata,
    client_id: &str,
    pushed: &AuthorizationRequest,
) -> String {
    let mut form = Form::new();
    form.push("client_id", client_id)
        .push("request_uri", request_uri);
    if pushed.pending.popup || pushed.pending.is_silent {
        form.push("state", &pushed.state);
    }
    with_query(&metadata.authorization_endpoint, &form.finish())
}

/// Returns the result of a push without a readable response. `is_reachable` is true if the provider's metadata or keys
/// could be fetched after the push.
pub fn after_probe(is_reachable: bool) -> PushOutcome {
    if is_reachable {
        PushOutcome::Unsupported(no_response())
    } else {
        PushOutcome::Failed(no_response())
    }
}

fn no_response() -> Error {
    Error::new(
        Code::ProviderUnavailable,
        msg!(
            "the pushed authorization request endpoint did not respond (is it up, and does its CORS allow this origin?)"
        ),
    )
}

/// Returns the error for a refusal without an error code.
fn refused(status: u16, endpoint: &str, is_public: bool) -> Error {
    let number = json::digits(status.into());
    let is_unauthorized = status == 401;
    let question = if is_unauthorized && is_public {
        msg!("; does it accept public clients?")
    } else {
        ""
    };
    let message = [
        msg!("the pushed authorization request endpoint "),
        &quote_url(endpoint),
        msg!(" responded without an error code, with status "),
        &number,
        question,
    ];
    let code = if is_unauthorized {
        Code::ClientRejected
    } else {
        Code::LoginFailed
    };
    Error::of(code, &message)
}

fn malformed() -> Error {
    Error::new(
        Code::LoginFailed,
        msg!(
            "the response of the pushed authorization request endpoint has no valid request_uri and expires_in"
        ),
    )
}

/// Returns `request_uri` if the response's `request_uri` and `expires_in` are valid (RFC 9126 2.2).
fn request_uri(response: &Value) -> Option<String> {
    let response = response.as_object()?;
    let uri = response.str("request_uri")?;
    let is_valid = (1..=MAX_URI).contains(&uri.len()) && uri.bytes().all(|b| b.is_ascii_graphic());
    let is_unexpired = response.get("expires_in")?.as_u64()? > 0;
    (is_valid && is_unexpired).then(|| uri.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::http::tests::json_reply;

    const ENDPOINT: &str = "https://id.test/par";

    fn pushed(status: u16, body: &str) -> PushOutcome {
        super::read(&Outcome::from(json_reply(status, body)), ENDPOINT, true)
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
    fn request_uri_requires_status_201_and_expires_in() {
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
    fn refusal_without_code_names_status_and_endpoint() {
        for (status, is_public, asks) in
            [(401, true, true), (401, false, false), (404, true, false)]
        {
            let outcome = Outcome::from(json_reply(status, ""));
            let PushOutcome::Unsupported(error) = super::read(&outcome, ENDPOINT, is_public) else {
                panic!("not unsupported");
            };
            let message = error.message();
            assert!(message.contains(ENDPOINT), "{message}");
            assert!(message.contains(&format!("status {status}")), "{message}");
            let has_question = message.contains("public clients?");
            assert_eq!(has_question, asks, "{message}");
        }
    }

    #[test]
    fn only_client_errors_mean_unsupported() {
        let is_unsupported =
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
            assert!(is_unsupported(status, body), "{status} {body}");
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
            assert!(!is_unsupported(status, body), "{status} {body}");
        }
        assert!(matches!(
            super::read(&Outcome::Failed, ENDPOINT, true),
            PushOutcome::Failed(_)
        ));
        assert!(matches!(
            super::read(&Outcome::Opaque, ENDPOINT, true),
            PushOutcome::Unreadable(_)
        ));
    }

    #[test]
    fn each_error_response_has_its_code() {
        for (status, body, code) in [
            (400, r#"{"error":"invalid_request"}"#, Code::LoginFailed),
            (400, r#"{"error":"invalid_scope"}"#, Code::LoginFailed),
            (403, r#"{"error":"access_denied"}"#, Code::LoginDenied),
            (401, r#"{"error":"invalid_client"}"#, Code::ClientRejected),
            (401, "", Code::ClientRejected),
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
        let PushOutcome::Failed(failed) = super::read(&Outcome::Failed, ENDPOINT, true) else {
            panic!("not failed");
        };
        assert_eq!(failed.code(), Code::ProviderUnavailable);
    }
}
