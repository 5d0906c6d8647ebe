//! A page sends requests, and stores the messages that it receives.

use std::collections::HashMap;
use std::fmt;

use rules::codec::json::{Object, Value};
use vault::{PortId, RequestId};

/// A request of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Request {
    pub port: PortId,
    pub id: RequestId,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "page {}'s request {}", self.port.0, self.id.0)
    }
}

/// The vault's response to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageResponse {
    Navigate(String),
    /// Data that the user enters on another device.
    Device {
        user_code: String,
    },
    Done(Option<String>),
    Settled {
        return_to: String,
        popup: bool,
        is_kept: bool,
        is_again: bool,
    },
    /// Another site has begun a login.
    Initiated {
        return_to: String,
        is_target_refused: bool,
        is_signed_in: bool,
        login_hint: Option<String>,
    },
    Head {
        status: u16,
        url: String,
    },
    Socket {
        protocol: String,
    },
    NetworkError,
    Error {
        code: String,
        message: String,
    },
    Inspection(Vec<Value>),
}

#[derive(Default)]
pub struct Page {
    pub last_id: u64,
    pub messages: Vec<Object>,
    pub responses: HashMap<RequestId, Vec<PageResponse>>,
}

impl Page {
    /// Stores a message. If the message is a response, returns the request's ID and the response.
    pub fn told(&mut self, text: &str) -> Option<(RequestId, PageResponse)> {
        let message = Value::parse(text).unwrap();
        let message = message.as_object().unwrap();
        self.messages.push(message.clone());
        let response = response(message)?;
        let id = RequestId(message.get("id").and_then(Value::as_u64).unwrap());
        self.responses.entry(id).or_default().push(response.clone());
        Some((id, response))
    }

    /// Returns the messages of type `t`.
    pub fn of_type<'a>(&'a self, t: &'a str) -> impl DoubleEndedIterator<Item = &'a Object> {
        self.messages.iter().filter(move |m| m.str("t") == Some(t))
    }
}

fn response(message: &Object) -> Option<PageResponse> {
    let text = |name| message.str(name).map(str::to_owned);
    Some(match message.str("t").unwrap() {
        "navigate" => PageResponse::Navigate(text("url")?),
        "device" => PageResponse::Device {
            user_code: text("userCode")?,
        },
        "done" => PageResponse::Done(text("url")),
        "settled" => PageResponse::Settled {
            return_to: text("returnTo")?,
            popup: message.get("popup")?.as_bool()?,
            is_kept: message.get("kept").is_some(),
            is_again: message.get("again").is_some(),
        },
        "initiated" => PageResponse::Initiated {
            return_to: text("returnTo")?,
            is_target_refused: message.get("targetRefused")?.as_bool()?,
            is_signed_in: message.get("signedIn")?.as_bool()?,
            login_hint: text("loginHint"),
        },
        "head" => PageResponse::Head {
            status: message.get("status")?.as_u64()?.try_into().ok()?,
            url: text("url")?,
        },
        "socket" => PageResponse::Socket {
            protocol: text("protocol")?,
        },
        "network_error" => PageResponse::NetworkError,
        "error" => PageResponse::Error {
            code: text("code")?,
            message: text("message")?,
        },
        "inspection" => PageResponse::Inspection(message.get("holdings")?.as_array()?.to_vec()),
        "ready" | "outdated" | "failed" | "session" | "expiring" | "trace" | "warning" => {
            return None;
        }
        other => panic!("pages know no message of type {other}"),
    })
}
