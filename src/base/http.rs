//! What the core asks of the host's network, and what it gets back, for requests to the provider.
//!
//! Requests to APIs are another matter (see [`crate::vault`]): their bodies never pass through here.

use crate::prelude::*;

use crate::Secret;
use crate::base::clock::{Millis, UnixMillis};
use crate::base::strings;
#[cfg(feature = "extended")]
use crate::oauth::dpop::UnsignedProof;

/// Longest answer of the provider that a host should read, in bytes. A longer one is no answer.
pub const MAX_BODY: usize = 1024 * 1024;

/// A request to the provider. Hosts send it without credentials and do not follow redirects.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// Where to.
    pub url: String,
    /// The body of a POST, `application/x-www-form-urlencoded`; without it the request is a GET.
    pub form: Option<Secret>,
    /// Whether it must outlive the page (Fetch `keepalive`): a rotated refresh token is on its way.
    pub keepalive: bool,
    /// What the header `DPoP` is to be made of (RFC 9449 5).
    #[cfg(feature = "extended")]
    pub proof: Option<UnsignedProof>,
}

/// The provider's answer.
#[derive(Clone, Debug)]
pub struct HttpReply {
    /// The status code.
    pub status: u16,
    /// `Content-Type`, if readable.
    pub content_type: Option<String>,
    /// `Retry-After` (RFC 9110 10.2.3), reduced to a duration by the host.
    pub retry_after: Option<Millis>,
    /// `Date`, if readable: it is not, across origins, unless the provider exposes it.
    pub date: Option<UnixMillis>,
    /// The body. `None` if it was longer than [`MAX_BODY`] or not UTF-8.
    pub body: Option<Secret>,
    /// `DPoP-Nonce` (RFC 9449 8), if readable.
    #[cfg(feature = "extended")]
    pub dpop_nonce: Option<String>,
}

/// How a request to the provider ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// There was an answer.
    Reply(Box<HttpReply>),
    /// There was none: no network, a broken connection, a time limit. What was sent may have arrived.
    Failed,
    /// There was none that could be read, although the device says that it is online: no network, or a
    /// response that CORS hides. What was sent may have arrived. Only browsers report this.
    Opaque,
    /// It was not sent: the key that its proof is to be signed with is gone.
    #[cfg(feature = "extended")]
    KeyLost,
}

impl From<HttpReply> for Outcome {
    fn from(reply: HttpReply) -> Self {
        Self::Reply(Box::new(reply))
    }
}

impl HttpReply {
    /// The body, if the answer calls itself JSON: `application/json` or a `+json` type.
    #[must_use]
    pub fn json_text(&self) -> Option<&str> {
        let content_type = self.content_type.as_deref()?;
        let (essence, _) = strings::split_once(content_type, b';');
        let essence = essence.trim_ascii().to_ascii_lowercase();
        let is_json = essence == "application/json"
            || (essence.starts_with("application/") && essence.ends_with("+json"));
        if is_json {
            self.body.as_ref().map(Secret::expose)
        } else {
            None
        }
    }
}

/// RFC 9110 5.6.2.
pub(crate) fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(is_token_byte)
}

pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || strings::contains_byte(b"!#$%&'*+-.^_`|~", byte)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An answer of JSON, for the tests of other modules.
    pub(crate) fn json_reply(status: u16, body: &str) -> HttpReply {
        HttpReply {
            status,
            content_type: Some("application/json; charset=utf-8".to_owned()),
            retry_after: None,
            date: None,
            body: Some(Secret::from(body)),
            #[cfg(feature = "extended")]
            dpop_nonce: None,
        }
    }

    #[test]
    fn only_what_calls_itself_json_is_read_as_json() {
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
