//! Sockets, opened here and passed on to their pages. The core says with what, and when a page is told; what goes
//! through is handed from one end to the other.
//!
//! A page has a port of its own for each socket, which came with its request, so that messages overtake neither
//! the opening nor the close. On it:
//!
//! - to the page: a text, first of all: `socket` of pkg/src/protocol/messages.ts; `[data]`, a message; a number, how many
//!   bytes wait to be sent; `null`, an error; an object, the members of a `CloseEvent`, last of all.
//! - from the page: `[data]`, a message; a number, which asks for one; an object, `code` and `reason` to close with.

use crate::prelude::*;
use wasm_bindgen::JsValue;

use crate::base::strings;
use crate::browser::host::{Event, Host};
use crate::browser::platform;
use crate::egress::token_reflection::Guard;
use crate::egress::websocket::Handshake;
use crate::vault::{CallId, Input};

/// Largest message in either direction: bytes, or units of a text.
const MAX_MESSAGE: f64 = 16.0 * 1024.0 * 1024.0;

/// The bytes that may wait to be sent.
const MAX_WAITING: f64 = 64.0 * 1024.0 * 1024.0;

/// What of a message is searched at once: bytes, or units of a text.
const SLICE: u32 = 32 * 1024;

/// The code that a socket is closed with at such a limit. 1009, which says the same, is not a script's to send.
const TOO_MUCH: u16 = 4009;

/// The code that a socket is closed with when a message has the token in it.
const REFLECTED: u16 = 4010;

/// The code that pages are told where the platform had none to tell (RFC 6455 7.4.1).
const ABNORMAL: u16 = 1006;

/// `WebSocket.CLOSED`
const CLOSED: f64 = 3.0;

/// The sockets of all pages.
#[derive(Default)]
pub(super) struct Sockets {
    open: Vec<Socket>,
    probes: Vec<Probe>,
    /// True if the host listens for violations of the worker's policy.
    is_listening: bool,
}

/// A connection without a token, which shows whether the worker's policy allows one with a token.
struct Probe {
    call: CallId,
    url: String,
    socket: JsValue,
}

struct Socket {
    call: CallId,
    socket: JsValue,
    /// The page's port.
    port: JsValue,
    /// Looks for the token in what comes.
    guard: Option<Guard>,
    /// True after the handshake.
    is_open: bool,
}

impl Host {
    /// Connects without a token. If the policy blocks the socket, Chromium returns a closed one, and Firefox and `WebKit`
    /// throw. If a policy only reports the socket, Chromium and Firefox fire an event before the handshake ends. `WebKit`
    /// fires no event, but sends no report either.
    pub(super) fn probe_socket(&mut self, call: CallId, url: String) {
        if !core::mem::replace(&mut self.sockets.is_listening, true) {
            let violated = self.listener(Event::PolicyViolated, 0);
            let name = platform::text("securitypolicyviolation");
            // Any event target takes any listener.
            let _ = platform::call(&self.scope, "addEventListener", &[&name, &violated]);
        }
        let socket = self.make_socket(&url, &JsValue::UNDEFINED);
        let Some(socket) = socket.filter(|socket| !is_closed(socket)) else {
            return self.report(Input::SocketProbed {
                call,
                is_blocked: true,
            });
        };
        let ended = self.listener(Event::ProbeEnded, call);
        for name in ["onopen", "onerror"] {
            platform::set(&socket, name, &ended);
        }
        self.sockets.probes.push(Probe { call, url, socket });
    }

    /// Ends the probes that a violation may concern: the event names an origin, so probes of that origin share the
    /// verdict.
    pub(super) fn policy_violated(&mut self, event: &JsValue) {
        let blocked = platform::get_text(event, "blockedURI").unwrap_or_default();
        let Some(origin) = origin_of(&blocked) else {
            return;
        };
        while let Some(probe) = self
            .sockets
            .probes
            .iter()
            .find(|p| origin_of(&p.url) == Some(origin))
        {
            self.probe_ended(probe.call, true);
        }
    }

    pub(super) fn probe_ended(&mut self, call: CallId, is_blocked: bool) {
        if self.sockets.drop_probe(call) {
            self.report(Input::SocketProbed { call, is_blocked });
        }
    }

    /// A socket, unless the platform refuses to make it.
    fn make_socket(&self, url: &str, protocols: &JsValue) -> Option<JsValue> {
        let constructor = platform::get(&self.scope, "WebSocket");
        let args = platform::array_of_2(&platform::text(url), protocols);
        let reflect = platform::get(&self.scope, "Reflect");
        // The third says what is constructed, and would have to be left out rather than be missing.
        platform::call(&reflect, "construct", &[&constructor, &args, &constructor]).ok()
    }

    pub(super) fn open_socket(&mut self, call: CallId, handshake: &Handshake) {
        let port = self.calls.take_body(call);
        // What came may be anything; nothing can be set on what is no object.
        if platform::get(&port, "postMessage").is_undefined() {
            return self.report(Input::CallClosed { call });
        }
        let protocols = platform::literal(handshake.protocols.expose());
        let Some(socket) = self.make_socket(handshake.url.expose(), &protocols) else {
            tell_failed(&port);
            return self.report(Input::CallClosed { call });
        };
        platform::set(&socket, "binaryType", &platform::text("arraybuffer"));
        for (name, event) in [
            ("onopen", Event::SocketOpened),
            ("onmessage", Event::SocketReceived),
            ("onerror", Event::SocketFailed),
            ("onclose", Event::SocketClosed),
        ] {
            platform::set(&socket, name, &self.listener(event, call));
        }
        let token = handshake.token.as_ref();
        self.sockets.open.push(Socket {
            call,
            socket,
            port,
            guard: token.and_then(|token| Guard::new(token.expose())),
            is_open: false,
        });
    }

    /// Something happened to a socket, or its page sent something.
    pub(super) fn socket_event(&mut self, event: Event, call: CallId, value: &JsValue) {
        let Some(known) = self.sockets.find(call) else {
            return;
        };
        match event {
            Event::SocketOpened => {
                known.is_open = true;
                let protocol = platform::get_text(&known.socket, "protocol").unwrap_or_default();
                self.report(Input::SocketOpened { call, protocol });
            }
            Event::SocketReceived => {
                let data = platform::get(value, "data");
                if size(&self.scope, &data) > MAX_MESSAGE {
                    return self.break_off(call);
                }
                if known
                    .guard
                    .as_mut()
                    .is_some_and(|guard| is_in(guard, &data))
                {
                    self.close_socket(call, REFLECTED, "token_reflected");
                    return self.report(Input::CallClosed { call });
                }
                // A text cannot be transferred, and need not be.
                let transfer = if data.is_string() {
                    JsValue::UNDEFINED
                } else {
                    platform::array_of_1(&data)
                };
                post(&known.port, &platform::array_of_1(&data), &transfer);
            }
            // No close event follows in Chromium if the worker's policy blocks the socket. All that a close event could
            // say of a handshake that failed is this.
            Event::SocketFailed if !known.is_open => {
                tell_failed(&known.port);
                self.sockets.forget(call);
                self.report(Input::CallClosed { call });
            }
            Event::SocketFailed => post(&known.port, &JsValue::NULL, &JsValue::UNDEFINED),
            Event::SocketClosed => {
                let closed = platform::literal("{}");
                for name in ["code", "reason", "wasClean"] {
                    platform::set(&closed, name, &platform::get(value, name));
                }
                let reason = platform::get(value, "reason");
                if known
                    .guard
                    .as_mut()
                    .is_some_and(|guard| is_in(guard, &reason))
                {
                    platform::set(&closed, "code", &REFLECTED.into());
                    platform::set(&closed, "reason", &platform::text("token_reflected"));
                }
                post(&known.port, &closed, &JsValue::UNDEFINED);
                self.sockets.forget(call);
                self.report(Input::CallClosed { call });
            }
            _ => self.page_sends(call, &platform::get(value, "data")),
        }
    }

    fn page_sends(&mut self, call: CallId, message: &JsValue) {
        let Some(known) = self.sockets.find(call) else {
            return;
        };
        let waiting = platform::get(&known.socket, "bufferedAmount");
        if message.as_f64().is_some() {
            return post(&known.port, &waiting, &JsValue::UNDEFINED);
        }
        let data = platform::get(message, "0");
        if data.is_undefined() {
            let (code, reason) = (
                platform::get(message, "code"),
                platform::get(message, "reason"),
            );
            if platform::is_list(&code)
                || platform::is_list(&reason)
                || platform::call(&known.socket, "close", &[&code, &reason]).is_err()
            {
                // The page's wrapper would not send such a code; this page sends what it likes.
                self.break_off(call);
            }
            return;
        }
        let size = size(&self.scope, &data);
        if size > MAX_MESSAGE || waiting.as_f64().unwrap_or_default() + size > MAX_WAITING {
            return self.break_off(call);
        }
        // What is sent while the socket closes goes nowhere, as it does without a vault.
        let _ = platform::call(&known.socket, "send", &[&data]);
    }

    /// Sends the vault's own message.
    pub(super) fn send_first(&mut self, call: CallId, text: &str, token: &str) {
        if let Some(known) = self.sockets.find(call) {
            // It may be another one than that of the handshake.
            known.guard = known.guard.take().and_then(|_| Guard::new(token));
            let _ = platform::call(&known.socket, "send", &[&platform::text(text)]);
        }
    }

    /// Tells the page that its socket is open, if this is one. From then on the page may send.
    pub(super) fn deliver_socket(&mut self, call: CallId, text: &str) -> bool {
        let listener = self.listener(Event::PageSent, call);
        let Some(known) = self.sockets.find(call) else {
            return false;
        };
        post(&known.port, &platform::text(text), &JsValue::UNDEFINED);
        platform::set(&known.port, "onmessage", &listener);
        true
    }

    pub(super) fn close_socket(&mut self, call: CallId, code: u16, reason: &str) {
        if let Some(known) = self.sockets.forget(call) {
            tell_closed(&known.port, code, reason, true);
            close(&known.socket, &[&code.into(), &platform::text(reason)]);
        }
    }

    /// A limit is exceeded.
    fn break_off(&mut self, call: CallId) {
        self.close_socket(call, TOO_MUCH, "limit_exceeded");
        self.report(Input::CallClosed { call });
    }

    /// The page is gone, or wants the socket no more.
    pub(super) fn drop_socket(&mut self, call: CallId) {
        self.sockets.drop_probe(call);
        if let Some(known) = self.sockets.forget(call) {
            close(&known.socket, &[]);
        }
    }
}

impl Sockets {
    fn find(&mut self, call: CallId) -> Option<&mut Socket> {
        self.open.iter_mut().find(|socket| socket.call == call)
    }

    fn forget(&mut self, call: CallId) -> Option<Socket> {
        let i = self.open.iter().position(|socket| socket.call == call)?;
        Some(self.open.swap_remove(i))
    }

    /// Returns false if there was none.
    fn drop_probe(&mut self, call: CallId) -> bool {
        let Some(i) = self.probes.iter().position(|probe| probe.call == call) else {
            return false;
        };
        close(&self.probes.swap_remove(i).socket, &[]);
        true
    }
}

fn is_closed(socket: &JsValue) -> bool {
    platform::get(socket, "readyState").as_f64() == Some(CLOSED)
}

/// Scheme and host, with the slashes between them. The platform has parsed the URL, so its first slashes are those.
fn origin_of(url: &str) -> Option<&str> {
    let host = strings::split_once(url, b'/').0.len() + 2;
    let path = strings::split_once(url.get(host..)?, b'/').0;
    url.get(..host + path.len())
}

/// Whether the token is in a message: a text or an `ArrayBuffer`. It is searched slice by slice, since this module's
/// memory never shrinks.
fn is_in(guard: &mut Guard, data: &JsValue) -> bool {
    let octets = if data.is_string() {
        JsValue::UNDEFINED
    } else {
        platform::view(data)
    };
    let mut from = 0;
    let is_in = loop {
        let to = from + SLICE;
        let length = if let Some(text) = platform::part_of_text(data, from, to) {
            guard.take(text.len()).copy_from_slice(text.as_bytes());
            text.len()
        } else {
            let slice = platform::part_of_octets(&octets, from, to);
            let length = platform::byte_length(&slice);
            platform::copy_octets(guard.take(length), &slice);
            length
        };
        let free = guard.free();
        if length == 0 || free.is_none() {
            break free.is_none();
        }
        guard.forget(free.unwrap_or_default());
        from = to;
    };
    // No message goes on where another one ends.
    guard.forget(guard.bytes().len());
    is_in
}

fn post(port: &JsValue, message: &JsValue, transfer: &JsValue) {
    // What came as a port may be none.
    let _ = platform::call(port, "postMessage", &[message, transfer]);
}

/// Tells a page that its socket failed before it was open.
fn tell_failed(port: &JsValue) {
    post(port, &JsValue::NULL, &JsValue::UNDEFINED);
    tell_closed(port, ABNORMAL, "", false);
}

fn tell_closed(port: &JsValue, code: u16, reason: &str, was_clean: bool) {
    let closed = platform::literal("{}");
    platform::set(&closed, "code", &code.into());
    platform::set(&closed, "reason", &platform::text(reason));
    platform::set(&closed, "wasClean", &was_clean.into());
    post(port, &closed, &JsValue::UNDEFINED);
}

fn close(socket: &JsValue, args: &[&JsValue]) {
    // A socket can be closed at any time, with these codes.
    let _ = platform::call(socket, "close", args);
}

/// The bytes of a buffer or blob, or the units of a text. What is none of these is of no size that is allowed.
fn size(scope: &JsValue, data: &JsValue) -> f64 {
    // A text has members only as an object.
    let data = platform::call(scope, "Object", &[data]).unwrap_or_default();
    if platform::is_list(&data) {
        return f64::INFINITY;
    }
    let of = |name| platform::get(&data, name).as_f64();
    of("byteLength")
        .or_else(|| of("length"))
        .or_else(|| of("size"))
        .unwrap_or(f64::INFINITY)
}
