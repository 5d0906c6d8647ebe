//! Requests to the provider, which the host sends, their responses, and the syntax of HTTP tokens.
//!
//! Requests to APIs have types of their own (see `vault/io.rs`). The core never sees the bodies of those requests.

use crate::prelude::*;

use crate::Secret;
use crate::base::clock::{Millis, UnixMillis};
use crate::base::proof::UnsignedProof;
use crate::base::strings;

/// The longest response body of the provider that a host should read, in bytes. A longer body is discarded.
pub const MAX_BODY: usize = 1024 * 1024;

/// The statuses that the constructor of `Response` accepts (Fetch 5.5). Servers can send statuses up to 999.
pub const RESPONSE_STATUSES: core::ops::RangeInclusive<u16> = 200..=599;

/// A request to the provider. Hosts send the request without cookies and do not follow redirects.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// The URL.
    pub url: String,
    /// The body of a POST request, `application/x-www-form-urlencoded`. Without a body, the request is a GET.
    pub form: Option<Secret>,
    /// True if the request must outlive the page (Fetch `keepalive`). This flag is set for all requests with a body,
    /// because they may carry a refresh token, which the provider rotates.
    pub keepalive: bool,
    /// The unsigned proof for the `DPoP` header (RFC 9449 5).
    pub proof: Option<UnsignedProof>,
    /// The access token for the `Authorization` header. Its scheme is DPoP if there is a proof, and otherwise Bearer.
    pub access_token: Option<Secret>,
}

impl HttpRequest {
    /// Creates a GET request.
    #[must_use]
    pub const fn get(url: String) -> Self {
        Self {
            url,
            form: None,
            keepalive: false,
            proof: None,
            access_token: None,
        }
    }

    /// Returns the method.
    #[must_use]
    pub const fn method(&self) -> &'static str {
        if self.form.is_some() { "POST" } else { "GET" }
    }
}

/// The provider's response.
#[derive(Clone, Debug)]
pub struct HttpReply {
    /// The status code.
    pub status: u16,
    /// The `Content-Type` header, if readable.
    pub content_type: Option<String>,
    /// The `Retry-After` header (RFC 9110 10.2.3), converted to a duration by the host.
    pub retry_after: Option<Millis>,
    /// The `Date` header, if readable. In browsers, the header of a provider on another origin is readable only if the
    /// provider's CORS headers expose it.
    pub date: Option<UnixMillis>,
    /// The body, or `None` if it was longer than [`MAX_BODY`] or not UTF-8.
    pub body: Option<Secret>,
    /// The `DPoP-Nonce` header (RFC 9449 8), if readable.
    pub dpop_nonce: Option<String>,
    /// The `Location` header. Browsers hide it, because the vault follows no redirect.
    pub location: Option<String>,
}

/// The outcome of a request to the provider.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The provider responded.
    Reply(Box<HttpReply>),
    /// The request failed: no network, a broken connection or a timeout. The provider may still have received the
    /// request.
    Failed,
    /// No response could be read although the device reports that it is online: the network failed nevertheless, or
    /// CORS hides the response. The provider may have received the request. Only browsers report this outcome.
    Opaque,
    /// The request was not sent, because the private key for its DPoP proof is lost.
    KeyLost,
}

impl From<HttpReply> for Outcome {
    fn from(reply: HttpReply) -> Self {
        Self::Reply(Box::new(reply))
    }
}

impl Outcome {
    /// Returns the outcome without the body of the response.
    #[must_use]
    pub fn without_body(&self) -> Self {
        match self {
            Self::Reply(reply) => Self::from(HttpReply {
                body: None,
                ..(**reply).clone()
            }),
            other => other.clone(),
        }
    }

    /// Returns true if the request for a document failed for a reason that may be over in a moment: the connection broke,
    /// or a gateway had no server for it. A login should not fail for that. `took` is the time that the request took,
    /// and `limit` is its time limit: a request that timed out is not repeated.
    #[must_use]
    pub fn may_be_brief(&self, took: Millis, limit: Millis) -> bool {
        let may_pass = match self {
            Self::Failed | Self::Opaque => true,
            Self::Reply(reply) => {
                let wait = reply.retry_after.unwrap_or_default();
                matches!(reply.status, 502..=504) && wait < Millis::from_secs(1)
            }
            Self::KeyLost => false,
        };
        may_pass && took < limit
    }
}

impl HttpReply {
    /// Returns the body without a byte order mark, which a parser of JSON may ignore (RFC 8259 8.1).
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        let body = self.body.as_ref()?.expose();
        Some(body.strip_prefix('\u{feff}').unwrap_or(body))
    }

    /// Returns the [text](Self::text), if its content type is `application/json` or `application/…+json`.
    #[must_use]
    pub fn json_text(&self) -> Option<&str> {
        let content_type = self.content_type.as_deref()?;
        let (essence, _) = strings::split_once(content_type, b';');
        let essence = essence.trim_ascii().to_ascii_lowercase();
        let is_json = essence == "application/json"
            || (essence.starts_with("application/") && essence.ends_with("+json"));
        if is_json { self.text() } else { None }
    }
}

/// Returns true if `name` has the syntax of an HTTP token (RFC 9110 5.6.2), such as a method or the name of a header.
pub fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(is_token_byte)
}

pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || strings::contains_byte(b"!#$%&'*+-.^_`|~", byte)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Returns a JSON response, for the tests of other modules.
    pub(crate) fn json_reply(status: u16, body: &str) -> HttpReply {
        HttpReply {
            status,
            content_type: Some("application/json; charset=utf-8".to_owned()),
            retry_after: None,
            date: None,
            body: Some(Secret::from(body)),
            dpop_nonce: None,
            location: None,
        }
    }

    #[test]
    fn only_brief_failures_are_repeated() {
        let limit = Millis::from_secs(10);
        let is_brief = |outcome: Outcome| outcome.may_be_brief(Millis(9_999), limit);
        assert!(is_brief(Outcome::Failed) && is_brief(Outcome::Opaque));
        assert!(!is_brief(Outcome::KeyLost));
        assert!(!Outcome::Failed.may_be_brief(limit, limit), "a timeout");
        for (status, expected) in [
            (200, false),
            (302, false),
            (404, false),
            (429, false),
            (500, false),
            (502, true),
            (503, true),
            (504, true),
        ] {
            assert_eq!(
                is_brief(json_reply(status, "").into()),
                expected,
                "{status}"
            );
        }
        let told = |wait| HttpReply {
            retry_after: Some(wait),
            ..json_reply(503, "")
        };
        assert!(is_brief(told(Millis::ZERO).into()));
        assert!(!is_brief(told(Millis::from_secs(1)).into()));
    }

    #[test]
    fn only_json_content_types_are_parsed() {
        let typed = |content_type: Option<&str>| HttpReply {
            content_type: content_type.map(str::to_owned),
            ..json_reply(200, "{}")
        };
        for good in [
            "application/json",
            "Application/JSON;charset=UTF-8",
            "application/jwk-set+json",
        ] {
            assert!(typed(Some(good)).json_text().is_some(), "{good}");
        }
        for bad in [
            "text/html",
            "text/plain",
            "text/json",
            "application/jsonp",
            "",
        ] {
            assert!(typed(Some(bad)).json_text().is_none(), "{bad}");
        }
        assert!(typed(None).json_text().is_none());
    }
}
