//! Tokens of `WebSocket` connections. Script cannot set headers of the handshake (WHATWG `WebSockets` 3.1), so the
//! vault puts the token into a sub-protocol, the first message, or the query, as the API's rule says.
//!
//! The page never sees the token: of the URL and the sub-protocols, the page sees only the parts that it chose itself,
//! and it does not see the first message.

use crate::prelude::*;

use crate::Secret;
use crate::base::error::{Code, Error, Result};
use crate::base::http::{is_token, is_token_byte};
use crate::base::strings;
use crate::codec::base64url;
use crate::codec::form::{self, Form, with_query};
use crate::codec::json;
use crate::codec::url::Url;

/// The placeholder for the token in the first message.
const PLACEHOLDER: &str = "{token}";

/// The largest number of sub-protocols that a page may request.
pub const MAX_PROTOCOLS: usize = 16;
/// The longest name of a sub-protocol, in bytes.
const MAX_PROTOCOL: usize = 256;

/// The position of the token in a WebSocket connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An additional sub-protocol, after the page's sub-protocols (RFC 6455 4.1).
    Protocol {
        /// The string before the token.
        prefix: String,
        /// True if the token is encoded in base64url (RFC 4648 5). A token may contain `/` and `=`, which a
        /// sub-protocol's name must not contain.
        is_encoded: bool,
    },
    /// The first message, which is sent before the page learns that the socket is open.
    Message {
        /// The text before the token.
        before: String,
        /// The text after the token.
        after: String,
    },
    /// A query parameter (RFC 6750 2.3, which advises against it because URLs are logged).
    Query {
        /// The name of the parameter.
        parameter: String,
    },
}

/// The arguments for opening a socket.
#[derive(Clone, Debug)]
pub struct Handshake {
    /// The URL, which may contain the token.
    pub url: Secret,
    /// The sub-protocols, which may contain the token: a JSON array of strings.
    pub protocols: Secret,
    /// The access tokens to search messages for, the handshake's own first: see [`crate::egress::token_reflection`].
    pub searched: Vec<Secret>,
}

impl Place {
    /// Creates the position for the configured first message `text`. Returns `None` unless `text` contains the
    /// placeholder exactly once.
    #[must_use]
    pub fn message(text: &str) -> Option<Self> {
        let is_place = |at: &usize| text.as_bytes()[*at..].starts_with(PLACEHOLDER.as_bytes());
        let mut places = (0..text.len()).filter(is_place);
        let at = places.next()?;
        if places.next().is_some() {
            return None;
        }
        Some(Self::Message {
            before: text.get(..at)?.to_owned(),
            after: text.get(at + PLACEHOLDER.len()..)?.to_owned(),
        })
    }

    /// Builds the handshake of a socket at `url`, with the sub-protocols that the page requests.
    ///
    /// # Errors
    /// [`Code::Unsupported`] if the token cannot be part of a sub-protocol's name.
    pub fn handshake(&self, url: &str, own: &[String], token: &Secret) -> Result<Handshake> {
        let mut url = url.to_owned();
        let mut array = String::from("[");
        for name in own {
            json::write_string(&mut array, name);
            array.push(',');
        }
        match self {
            Self::Protocol { prefix, is_encoded } => {
                let encode = || Secret::new(base64url::encode(token.expose().as_bytes()));
                let encoded = is_encoded.then(encode);
                let token = encoded.as_ref().unwrap_or(token).expose();
                if !token.bytes().all(is_token_byte) {
                    let message = msg!(
                        "the access token has a character that is not allowed in the name of a sub-protocol: configure encoding: 'base64url'"
                    );
                    return Err(Error::new(Code::Unsupported, message));
                }
                // Prefix and token contain no characters that JSON escapes.
                for part in ["\"", prefix, token, "\""] {
                    array.push_str(part);
                }
            }
            Self::Query { parameter } => {
                let query = Form::new().push(parameter, token.expose()).finish();
                url = with_query(&url, &query);
            }
            Self::Message { .. } => {}
        }
        if array.ends_with(',') {
            array.truncate(array.len() - 1);
        }
        array.push(']');
        Ok(Handshake {
            url: url.into(),
            protocols: array.into(),
            searched: Vec::new(),
        })
    }

    /// Returns the first message, which contains the token and is sent before the page's messages. Returns `None` if
    /// the token has another position.
    #[must_use]
    pub fn first_message(&self, token: &Secret) -> Option<Secret> {
        let Self::Message { before, after } = self else {
            return None;
        };
        Some([before, token.expose(), after].concat().into())
    }

    /// Returns true if the page's URL does not contain the parameter for the token.
    #[must_use]
    pub fn is_unused_in(&self, url: &Url) -> bool {
        let Self::Query { parameter } = self else {
            return true;
        };
        let is_other = |(name, _): &(String, String)| name != parameter;
        form::parse(url.query()).is_some_and(|query| query.iter().all(is_other))
    }
}

/// Checks the sub-protocols that a page requests. Sub-protocols must be distinct tokens (RFC 6455 4.1).
///
/// # Errors
/// [`Code::MessageInvalid`], [`Code::LimitExceeded`].
pub fn check_protocols(own: &[String]) -> Result<()> {
    if own.len() > MAX_PROTOCOLS || own.iter().any(|name| name.len() > MAX_PROTOCOL) {
        let message =
            msg!("the socket has more than 16 sub-protocols, or one longer than 256 bytes");
        return Err(Error::new(Code::LimitExceeded, message));
    }
    let is_sound = |(i, name): (usize, &String)| is_token(name) && !own[..i].contains(name);
    if !own.iter().enumerate().all(is_sound) {
        let message = msg!("a sub-protocol is not a token (RFC 9110 5.6.2), or is repeated");
        return Err(Error::new(Code::MessageInvalid, message));
    }
    Ok(())
}

/// Returns the sub-protocol that the server chose if the page requested it, and otherwise an empty string: the server
/// may choose the sub-protocol that contains the token.
#[must_use]
pub fn visible<'a>(chosen: &'a str, own: &[String]) -> &'a str {
    if own.iter().any(|name| name == chosen) {
        chosen
    } else {
        ""
    }
}

/// Converts a socket's URL to the scheme that rules use: `wss` to `https`, and `ws` to `http`.
#[must_use]
pub fn as_http(url: &str) -> String {
    exchange(url, [("wss", "https:"), ("ws", "http:")])
}

/// Converts `https` to `wss`, and `http` to `ws`.
#[must_use]
pub fn as_ws(url: &str) -> String {
    exchange(url, [("https", "wss:"), ("http", "ws:")])
}

fn exchange(url: &str, schemes: [(&str, &str); 2]) -> String {
    let (scheme, rest) = strings::split_once(url, b':');
    for (from, to) in schemes {
        if let Some(rest) = rest
            && scheme.eq_ignore_ascii_case(from)
        {
            return [to, rest].concat();
        }
    }
    url.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "eyJhbGciOi.J9-_";

    fn handshake(place: &Place, token: &str) -> Result<Handshake> {
        let own = ["chat".to_owned()];
        place.handshake("wss://api.test/live?a=1", &own, &token.into())
    }

    fn protocol(prefix: &str, is_encoded: bool) -> Place {
        Place::Protocol {
            prefix: prefix.to_owned(),
            is_encoded,
        }
    }

    #[test]
    fn token_subprotocol_comes_last() {
        let opened = handshake(&protocol("bearer.", false), TOKEN).unwrap();
        assert_eq!(opened.url.expose(), "wss://api.test/live?a=1");
        assert_eq!(
            opened.protocols.expose(),
            r#"["chat","bearer.eyJhbGciOi.J9-_"]"#
        );
    }

    #[test]
    fn unsuitable_token_is_encoded_or_refused() {
        let opened = handshake(&protocol("b.", true), "a/b==").unwrap();
        assert_eq!(opened.protocols.expose(), r#"["chat","b.YS9iPT0"]"#);
        for token in ["a/b", "a=", "a b", "a,b", "a\"b", "é"] {
            let error = handshake(&protocol("b.", false), token).unwrap_err();
            assert_eq!(error.code(), Code::Unsupported, "{token}");
            assert!(!error.message().contains(token));
        }
    }

    #[test]
    fn token_query_parameter_is_appended_and_escaped() {
        let place = Place::Query {
            parameter: "access_token".to_owned(),
        };
        let opened = handshake(&place, "a+/=&b").unwrap();
        assert_eq!(
            opened.url.expose(),
            "wss://api.test/live?a=1&access_token=a%2B%2F%3D%26b"
        );
        assert_eq!(opened.protocols.expose(), r#"["chat"]"#);
    }

    #[test]
    fn page_cannot_set_the_token_parameter() {
        let place = Place::Query {
            parameter: "access_token".to_owned(),
        };
        let is_free = |url: &str| place.is_unused_in(&Url::parse(url).unwrap());
        assert!(is_free("https://api.test/live"));
        assert!(is_free("https://api.test/live?token=1&access_tokens=2"));
        for query in [
            "access_token=x",
            "a&access%5Ftoken=x",
            "access_token",
            "%ff=1",
        ] {
            assert!(
                !is_free(&["https://api.test/live?", query].concat()),
                "{query}"
            );
        }
    }

    #[test]
    fn first_message_contains_the_token() {
        let place = Place::Message {
            before: r#"{"token":""#.to_owned(),
            after: r#""}"#.to_owned(),
        };
        let first = place.first_message(&TOKEN.into()).unwrap();
        assert_eq!(first.expose(), r#"{"token":"eyJhbGciOi.J9-_"}"#);
        assert!(protocol("", false).first_message(&TOKEN.into()).is_none());
    }

    #[test]
    fn page_sees_only_its_own_subprotocols() {
        let own = ["chat".to_owned(), "log".to_owned()];
        assert_eq!(visible("log", &own), "log");
        assert_eq!(visible("bearer.secret", &own), "");
        assert_eq!(visible("", &own), "");
    }

    #[test]
    fn subprotocols_are_distinct_tokens() {
        let check = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            check_protocols(&names).map_err(|error| error.code())
        };
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(&["chat", "a!#$%&'*+-.^_`|~9"]), Ok(()));
        for names in [&["a", "a"][..], &[""], &["a b"], &["a,b"], &["é"], &["a/b"]] {
            assert_eq!(check(names), Err(Code::MessageInvalid), "{names:?}");
        }
        let names: Vec<String> = (0..17).map(|i| i.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(check(&names[..16]), Ok(()));
        assert_eq!(check(&names), Err(Code::LimitExceeded));
        assert_eq!(check(&[&"x".repeat(256)]), Ok(()));
        assert_eq!(check(&[&"x".repeat(257)]), Err(Code::LimitExceeded));
    }

    #[test]
    fn socket_schemes_map_to_http() {
        for (ws, http) in [
            ("wss://a.test/x", "https://a.test/x"),
            ("ws://127.0.0.1/x", "http://127.0.0.1/x"),
        ] {
            assert_eq!(as_http(ws), http);
            assert_eq!(as_ws(http), ws);
        }
        assert_eq!(as_http("WSS://a.test"), "https://a.test");
        for other in ["https://a.test", "wsx://a.test", "wss", ""] {
            assert_eq!(as_http(other), other);
        }
    }
}
