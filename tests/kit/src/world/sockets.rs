//! Sockets, as the host of a vault knows them.

use std::collections::BTreeSet;

use strongroom::codec::json::Value;
use strongroom::egress::websocket::Handshake;
use strongroom::vault::CallId;

use super::page::Request;

#[derive(Default)]
pub struct Sockets {
    /// The addresses that were tried without a token, in order.
    pub probed: Vec<String>,
    /// True if the worker's policy blocks or reports sockets.
    pub are_blocked: bool,
    /// What they were opened with, in order.
    pub opened: Vec<(Request, Handshake)>,
    /// What was sent before the page's own messages.
    pub first_messages: Vec<(Request, String)>,
    /// Those that the vault closed: by which code, and why.
    pub closed: Vec<(Request, u16, String)>,
    /// Those that the vault let go of while they were open or about to be.
    pub dropped: Vec<CallId>,
    /// Those that are open.
    pub open: BTreeSet<CallId>,
    /// Which sub-protocol the server chooses. Default: the last one, the worst for who hides a token there.
    pub chosen: Option<String>,
}

impl Sockets {
    /// What the server chooses.
    pub fn choose(&self, request: Request) -> String {
        let (_, handshake) = self.opened.iter().rfind(|(r, _)| *r == request).unwrap();
        let last = protocols(handshake).pop();
        self.chosen.clone().or(last).unwrap_or_default()
    }

    pub fn has(&self, request: Request) -> bool {
        self.opened.iter().any(|(r, _)| *r == request)
    }
}

/// The sub-protocols of a handshake.
pub fn protocols(handshake: &Handshake) -> Vec<String> {
    let list = Value::parse(handshake.protocols.expose()).unwrap();
    let list = list.as_array().unwrap();
    list.iter()
        .map(|name| name.as_str().unwrap().to_owned())
        .collect()
}

/// The access token in a text, if there is one as it was issued.
pub fn token_in(text: &str) -> Option<&str> {
    let token = &text[text.find("at-")?..];
    let end = token.find(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    Some(&token[..end.unwrap_or(token.len())])
}
