//! The sockets that the hosts of vaults have.

use std::collections::BTreeSet;

use rules::codec::json::Value;
use rules::egress::websocket::Handshake;
use vault::CallId;

use super::page::Request;

#[derive(Default)]
pub struct Sockets {
    /// URLs to which the host sent a handshake without a token, in order.
    pub probed: Vec<String>,
    /// True if the worker's policy blocks or reports sockets.
    pub are_blocked: bool,
    /// The handshakes of opened sockets, in order.
    pub opened: Vec<(Request, Handshake)>,
    /// Messages that the vault sent before the page's own messages.
    pub first_messages: Vec<(Request, String)>,
    /// Sockets that the vault closed, with code and reason.
    pub closed: Vec<(Request, u16, String)>,
    /// Sockets that the vault dropped while they were opening or open.
    pub dropped: Vec<CallId>,
    /// Sockets that are open.
    pub open: BTreeSet<CallId>,
    /// The sub-protocol that the server chooses. By default the server chooses the last one, which may contain the
    /// token, so the vault must hide it from the page.
    pub chosen: Option<String>,
}

impl Sockets {
    /// Returns the sub-protocol that the server chooses for a socket, or an empty string if the server chooses none.
    pub fn choose(&self, request: Request) -> String {
        let (_, handshake) = self.opened.iter().rfind(|(r, _)| *r == request).unwrap();
        let last = protocols(handshake).pop();
        self.chosen.clone().or(last).unwrap_or_default()
    }

    pub fn has(&self, request: Request) -> bool {
        self.opened.iter().any(|(r, _)| *r == request)
    }
}

/// Returns the sub-protocols of a handshake.
pub fn protocols(handshake: &Handshake) -> Vec<String> {
    let list = Value::parse(handshake.protocols.expose()).unwrap();
    let list = list.as_array().unwrap();
    list.iter()
        .map(|name| name.as_str().unwrap().to_owned())
        .collect()
}

/// Returns the access token in a string, if the token is not encoded.
pub fn token_in(text: &str) -> Option<&str> {
    let token = &text[text.find("access-token-")?..];
    let end = token.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_'));
    Some(&token[..end.unwrap_or(token.len())])
}
