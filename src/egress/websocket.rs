//! Where a WebSocket's token goes. No script can set a header of a socket's handshake (WHATWG `WebSockets` 3.1), so
//! the API's rule names the place: a sub-protocol, the first message, or the query.
//!
//! Whichever it is, the page sees nothing of it: its own URL, its own sub-protocols, its own messages.
//!
//! Few configurations say so: the module without the Cargo feature `extended` has nothing of this.

use crate::prelude::*;

use crate::Secret;
use crate::base::error::{Code, Error, Result};
use crate::base::http::{is_token, is_token_byte};
use crate::base::strings;
use crate::codec::base64url;
use crate::codec::form::{self, Form, with_query};
use crate::codec::json;
use crate::codec::url::Url;

/// What stands for the token in the text of a first message.
const PLACEHOLDER: &str = "{token}";

/// Most sub-protocols that a page may name.
pub const MAX_PROTOCOLS: usize = 16;
/// Longest name of one.
const MAX_PROTOCOL: usize = 256;

/// Where the token goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A sub-protocol more than the page names, the last of them (RFC 6455 4.1).
    Protocol {
        /// What stands before the token.
        prefix: String,
        /// Whether the token is encoded once more (RFC 4648 5), since a sub-protocol's name may have no `/` and
        /// `=`, of which a token may have both.
        is_encoded: bool,
    },
    /// The first message, which is sent before the page is told that the socket is open.
    Message {
        /// What stands before the token.
        before: String,
        /// What stands after it.
        after: String,
    },
    /// A parameter of the query (RFC 6750 2.3, which advises against it: addresses are written to logs).
    Query {
        /// Its name.
        parameter: String,
    },
}

/// What a socket is opened with.
#[derive(Clone, Debug)]
pub struct Handshake {
    /// The address, maybe with the token in it.
    pub url: Secret,
    /// The sub-protocols, maybe with the token among them: a JSON list of texts.
    pub protocols: Secret,
    /// The token, if messages are to be searched for it: see [`crate::egress::token_reflection`].
    pub token: Option<Secret>,
}

impl Place {
    /// A first message, if `text` has the token's place in it, once.
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

    /// What a socket at `url` is opened with, if the page names these sub-protocols.
    ///
    /// # Errors
    /// [`Code::Unsupported`] if the token cannot be part of a sub-protocol's name.
    pub fn handshake(&self, url: &str, own: &[String], token: &Secret) -> Result<Handshake> {
        let mut url = url.to_owned();
        let mut list = String::from("[");
        for name in own {
            json::write_string(&mut list, name);
            list.push(',');
        }
        match self {
            Self::Protocol { prefix, is_encoded } => {
                let encode = || Secret::new(base64url::encode(token.expose().as_bytes()));
                let encoded = is_encoded.then(encode);
                let token = encoded.as_ref().unwrap_or(token).expose();
                if !token.bytes().all(is_token_byte) {
                    let message = msg!(
                        "the access token has a character that no sub-protocol's name may have: configure encoding: 'base64url'"
                    );
                    return Err(Error::new(Code::Unsupported, message));
                }
                // Neither has a character that JSON escapes.
                for part in ["\"", prefix, token, "\""] {
                    list.push_str(part);
                }
            }
            Self::Query { parameter } => {
                let query = Form::new().push(parameter, token.expose()).finish();
                url = with_query(&url, &query);
            }
            Self::Message { .. } => {}
        }
        if list.ends_with(',') {
            list.truncate(list.len() - 1);
        }
        list.push(']');
        Ok(Handshake {
            url: url.into(),
            protocols: list.into(),
            token: None,
        })
    }

    /// The message to send before all others.
    #[must_use]
    pub fn first_message(&self, token: &Secret) -> Option<Secret> {
        let Self::Message { before, after } = self else {
            return None;
        };
        Some([before, token.expose(), after].concat().into())
    }

    /// Whether a page's own URL leaves the token's place alone.
    #[must_use]
    pub fn is_unused_in(&self, url: &Url) -> bool {
        let Self::Query { parameter } = self else {
            return true;
        };
        let is_other = |(name, _): &(String, String)| name != parameter;
        form::parse(url.query()).is_some_and(|query| query.iter().all(is_other))
    }
}

/// Checks the sub-protocols that a page names (RFC 6455 4.1: each a token, no two the same).
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
        let message = msg!("a sub-protocol is not a token (RFC 9110 5.6.2), or is there twice");
        return Err(Error::new(Code::MessageInvalid, message));
    }
    Ok(())
}

/// What a page may see of the sub-protocol that the server chose: one of the page's own. A server may well choose
/// the one that the token is in.
#[must_use]
pub fn visible<'a>(chosen: &'a str, own: &[String]) -> &'a str {
    if own.iter().any(|name| name == chosen) {
        chosen
    } else {
        ""
    }
}

/// A socket's URL as rules are written: `wss` is `https`, and `ws` is `http`.
#[must_use]
pub fn as_http(url: &str) -> String {
    exchange(url, [("wss", "https:"), ("ws", "http:")])
}

/// The other way round.
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
    fn a_sub_protocol_with_the_token_comes_after_the_pages_own() {
        let opened = handshake(&protocol("bearer.", false), TOKEN).unwrap();
        assert_eq!(opened.url.expose(), "wss://api.test/live?a=1");
        assert_eq!(
            opened.protocols.expose(),
            r#"["chat","bearer.eyJhbGciOi.J9-_"]"#
        );
    }

    #[test]
    fn a_token_that_no_sub_protocol_can_have_is_encoded_or_refused() {
        let opened = handshake(&protocol("b.", true), "a/b==").unwrap();
        assert_eq!(opened.protocols.expose(), r#"["chat","b.YS9iPT0"]"#);
        for token in ["a/b", "a=", "a b", "a,b", "a\"b", "é"] {
            let error = handshake(&protocol("b.", false), token).unwrap_err();
            assert_eq!(error.code(), Code::Unsupported, "{token}");
            assert!(!error.message().contains(token));
        }
    }

    #[test]
    fn a_parameter_of_the_query_comes_after_the_pages_own_and_is_escaped() {
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
    fn a_page_may_not_name_the_parameter_itself() {
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
    fn a_first_message_has_the_token_in_its_place() {
        let place = Place::Message {
            before: r#"{"token":""#.to_owned(),
            after: r#""}"#.to_owned(),
        };
        let first = place.first_message(&TOKEN.into()).unwrap();
        assert_eq!(first.expose(), r#"{"token":"eyJhbGciOi.J9-_"}"#);
        assert!(protocol("", false).first_message(&TOKEN.into()).is_none());
    }

    #[test]
    fn a_page_sees_a_chosen_sub_protocol_only_if_it_is_its_own() {
        let own = ["chat".to_owned(), "log".to_owned()];
        assert_eq!(visible("log", &own), "log");
        assert_eq!(visible("bearer.secret", &own), "");
        assert_eq!(visible("", &own), "");
    }

    #[test]
    fn sub_protocols_are_tokens_and_differ() {
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
    fn the_schemes_of_sockets_are_those_of_requests() {
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
