//! The messages between page and vault, on this side. The other side, and the list with a comment
//! for each, is `pkg/src/messages.ts`.
//!
//! Whatever a page sends is hostile until it is read: sizes are limited, types are exact, and what
//! does not fit is answered with `message_invalid`.

use crate::authorize::LoginParams;
use crate::error::{Code, Error};
use crate::json::{Object, Value};
use crate::prelude::*;
use crate::vault::io::CallOptions;

/// The version of the protocol.
pub(super) const PROTOCOL: u64 = 1;

/// Longest message that is read, in bytes.
pub(super) const MAX_MESSAGE: usize = 128 * 1024;

/// A message of a page, with the page's own number for it.
#[derive(Debug)]
pub(super) struct PageMessage {
    /// The page's number; 0 where the message has none.
    pub id: u64,
    /// What it wants.
    pub request: Request,
}

/// What a page wants.
#[derive(Debug)]
pub(super) enum Request {
    /// `hello`
    Hello {
        /// The page's version of the protocol.
        version: u64,
    },
    /// `login`
    Login(LoginParams),
    /// `cancel`
    Cancel,
    /// `callback`
    Callback {
        /// The page's address.
        url: String,
    },
    /// `fetch`
    Fetch(FetchRequest),
    /// `abort`
    Abort,
    /// `logout`
    Logout {
        /// Whether to log out at the provider too.
        provider: bool,
        /// Where to come back to from there.
        return_to: Option<String>,
    },
    /// `inspect`
    Inspect,
    /// `bye`
    Bye,
}

/// A request for an API, not decided on yet.
#[derive(Debug)]
pub(super) struct FetchRequest {
    /// Where to, as the page wrote it.
    pub url: String,
    /// How, as the page wrote it.
    pub method: String,
    /// The page's headers.
    pub headers: Vec<(String, String)>,
    /// Not the user's doing.
    pub background: bool,
    /// What else.
    pub options: CallOptions,
}

/// A message that cannot be read; the page's number for it, if that could be.
#[derive(Debug)]
pub(super) struct Unreadable {
    /// The page's number, or 0.
    pub id: u64,
    /// Why.
    pub why: &'static str,
}

impl PageMessage {
    /// Reads a message.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(super) fn parse(text: &str) -> Result<Self, Unreadable> {
        let unreadable = |why| Unreadable { id: 0, why };
        if text.len() > MAX_MESSAGE {
            return Err(unreadable("the message is longer than 131072 bytes"));
        }
        let value = Value::parse(text).map_err(|error| unreadable(error.reason))?;
        let object = value
            .as_object()
            .ok_or_else(|| unreadable("the message is not an object"))?;
        let id = object.get("id").and_then(Value::as_u64).unwrap_or(0);
        match request(object) {
            Some(request) => Ok(Self { id, request }),
            None => Err(Unreadable {
                id,
                why: "the message is of no known type, or a member is missing or of a wrong type",
            }),
        }
    }
}

fn request(object: &Object) -> Option<Request> {
    Some(match object.str("t")? {
        "hello" => Request::Hello {
            version: object.get("version")?.as_u64()?,
        },
        "login" => Request::Login(login(object)?),
        "cancel" => Request::Cancel,
        "callback" => Request::Callback {
            url: object.str("url")?.to_owned(),
        },
        "fetch" => Request::Fetch(FetchRequest {
            url: object.str("url")?.to_owned(),
            method: object.str("method")?.to_owned(),
            headers: headers(object.get("headers")?)?,
            background: flag(object, "background")?,
            options: CallOptions {
                cache: text(object, "cache")?,
                credentials: text(object, "credentials")?,
                integrity: text(object, "integrity")?,
                keepalive: flag(object, "keepalive")?,
                priority: text(object, "priority")?,
            },
        }),
        "abort" => Request::Abort,
        "logout" => Request::Logout {
            provider: flag(object, "provider")?,
            return_to: text(object, "returnTo")?,
        },
        "inspect" => Request::Inspect,
        "bye" => Request::Bye,
        _ => return None,
    })
}

fn login(object: &Object) -> Option<LoginParams> {
    let max_age = match object.get("maxAge") {
        None => None,
        Some(value) => Some(value.as_u64()?),
    };
    Some(LoginParams {
        popup: match object.str("mode")? {
            "popup" => true,
            "redirect" => false,
            _ => return None,
        },
        return_to: text(object, "returnTo")?,
        prompt: text(object, "prompt")?,
        login_hint: text(object, "loginHint")?,
        ui_locales: text(object, "uiLocales")?,
        acr_values: text(object, "acrValues")?,
        max_age,
    })
}

/// An optional string: absent is fine, another type is not.
#[allow(clippy::option_option)]
fn text(object: &Object, name: &str) -> Option<Option<String>> {
    match object.get(name) {
        None => Some(None),
        Some(value) => value.as_str().map(|text| Some(text.to_owned())),
    }
}

fn flag(object: &Object, name: &str) -> Option<bool> {
    object.get(name).map_or(Some(false), Value::as_bool)
}

fn headers(value: &Value) -> Option<Vec<(String, String)>> {
    let pair = |item: &Value| match item.as_array()? {
        [name, value] => Some((name.as_str()?.to_owned(), value.as_str()?.to_owned())),
        _ => None,
    };
    value.as_array()?.iter().map(pair).collect()
}

/// A message of type `t` to a page.
pub(super) fn message(t: &str, members: impl IntoIterator<Item = (&'static str, Value)>) -> String {
    let mut object = Object::new();
    object.push("t", t.into());
    for (name, value) in members {
        object.push(name, value);
    }
    let mut text = String::new();
    object.write(&mut text);
    text
}

/// The `error` message for operation `id`.
pub(super) fn error(id: u64, error: &Error) -> String {
    message(
        "error",
        fault_members(Some(id), error.code(), error.message()),
    )
}

/// The `failed` message: nobody can be served.
#[must_use]
pub fn failed(error: &Error) -> String {
    message("failed", fault_members(None, error.code(), error.message()))
}

fn fault_members(
    id: Option<u64>,
    code: Code,
    message: &str,
) -> impl Iterator<Item = (&'static str, Value)> {
    let sentence = [message, ". ", code.advice()].concat();
    id.map(|id| ("id", id.into()))
        .into_iter()
        .chain([("code", code.as_str().into()), ("message", sentence.into())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fetch_is_read_whole() {
        let text = r#"{"t":"fetch","id":7,"url":"https://a.test/","method":"PUT",
            "headers":[["accept","*/*"]],"background":true,"cache":"no-store","keepalive":true}"#;
        let message = PageMessage::parse(text).unwrap();
        assert_eq!(message.id, 7);
        let Request::Fetch(fetch) = message.request else {
            panic!("not a fetch");
        };
        assert_eq!(fetch.headers, [("accept".to_owned(), "*/*".to_owned())]);
        assert!(fetch.background && fetch.options.keepalive);
        assert_eq!(fetch.options.cache.as_deref(), Some("no-store"));
    }

    #[test]
    fn garbage_is_refused_and_answered_by_its_number_where_it_has_one() {
        for (text, id) in [
            ("", 0),
            ("[]", 0),
            ("{}", 0),
            (r#"{"t":"fetch","id":3}"#, 3),
            (r#"{"t":"nonsense","id":3}"#, 3),
            (r#"{"t":"login","id":3,"mode":"iframe"}"#, 3),
            (r#"{"t":"login","id":3,"mode":"popup","prompt":1}"#, 3),
            (r#"{"t":"login","id":3,"mode":"popup","maxAge":-1}"#, 3),
            (r#"{"t":"callback","id":3,"url":null}"#, 3),
            (
                r#"{"t":"fetch","id":3,"url":"u","method":"GET","headers":[["a"]]}"#,
                3,
            ),
            (
                r#"{"t":"fetch","id":3,"url":"u","method":"GET","headers":{}}"#,
                3,
            ),
            (r#"{"t":"logout","id":3,"provider":"yes"}"#, 3),
        ] {
            assert_eq!(PageMessage::parse(text).unwrap_err().id, id, "{text}");
        }
        let long = [
            r#"{"t":"callback","url":""#,
            &"x".repeat(MAX_MESSAGE),
            "\"}",
        ]
        .concat();
        assert!(PageMessage::parse(&long).is_err());
    }
}
