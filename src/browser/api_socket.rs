//! WebSocket connections to APIs. The core decides how a socket is opened, and when the page learns that the socket is
//! open. The host passes messages between the API and the page.
//!
//! The page sends a separate `MessagePort` with each request for a socket. All events and messages of the socket use
//! this port, so that they keep their order. The messages on the port:
//!
//! - to the page: a string when the socket is open, which is the message `socket` of pkg/src/protocol/messages.ts;
//!   `[data]` for a message from the API; a number, which is how many bytes wait to be sent; `null` for an error; and
//!   at the end an object with the members of a `CloseEvent`.
//! - from the page: `[data]` for a message to the API, any number to ask how many bytes wait to be sent, or an object
//!   with the `code` and `reason` to close the socket with.

use js_sys::{Array, ArrayBuffer, JSON, JsString};
use rules::prelude::*;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{
    Blob, CloseEvent, MessageEvent, MessagePort, SecurityPolicyViolationEvent, WebSocket,
};

use crate::context::{Context, Event};
use crate::platform::{self, Closure, Socket, Text};
use rules::Secret;
use rules::base::strings;
use rules::egress::token_reflection::Guard;
use rules::egress::websocket::Handshake;
use vault::{CallId, Input};

/// The largest message in either direction, in bytes, or in UTF-16 code units for a string.
const MAX_MESSAGE: f64 = 16.0 * 1024.0 * 1024.0;

/// The largest number of bytes that may wait in a socket to be sent to the API.
const MAX_WAITING: f64 = 64.0 * 1024.0 * 1024.0;

/// The size of the slices in which a message is searched, in bytes, or in UTF-16 code units for a string.
const SLICE: u32 = 32 * 1024;

/// The close code for a message that exceeds one of these limits, and for an invalid message of the page. The standard
/// code 1009 (message too big) cannot be used, because scripts may not send it.
const TOO_MUCH: u16 = 4009;

/// The close code for a message or a close reason that contains a token.
const REFLECTED: u16 = 4010;

/// The close code that a page gets if the handshake failed (RFC 6455 7.4.1).
const ABNORMAL: u16 = 1006;

/// The sockets of all pages.
#[derive(Default)]
pub(super) struct Sockets {
    open: Vec<ApiSocket>,
    probes: Vec<Probe>,
    /// True if the host listens for violations of the worker's Content-Security-Policy.
    is_listening: bool,
}

/// A connection attempt without a token. The attempt shows if the worker's Content-Security-Policy allows a socket to
/// `url`.
struct Probe {
    call: CallId,
    url: String,
    socket: Socket,
}

struct ApiSocket {
    call: CallId,
    socket: Socket,
    /// The port that the page sent for this socket.
    port: MessagePort,
    /// Searches received messages for tokens.
    guard: Option<Guard>,
    /// True after the handshake.
    is_open: bool,
}

impl Sockets {
    /// Connects without a token. If the worker's Content-Security-Policy blocks the connection, the constructor returns
    /// a closed socket in Chromium, and throws in Firefox and `WebKit`. If a report-only policy forbids the connection,
    /// Chromium and Firefox fire an event before the handshake ends. `WebKit` fires no event in this case, and sends no
    /// report either.
    pub(super) fn probe(&mut self, context: &mut Context, call: CallId, url: String) {
        if !core::mem::replace(&mut self.is_listening, true) {
            let violated = context.listener(Event::PolicyViolated, 0);
            // Adding a listener to an event target never fails.
            let _ = context
                .scope
                .add_event_listener_with_callback("securitypolicyviolation", &violated);
        }
        let socket = connect(&url, &JsValue::UNDEFINED);
        let socket = socket.filter(|socket| socket.ready_state() != WebSocket::CLOSED);
        let Some(socket) = socket else {
            return context.report(Input::SocketProbed {
                call,
                is_blocked: true,
            });
        };
        let ended = context.listener(Event::ProbeEnded, call.0);
        socket.set_onopen(Some(&ended));
        socket.set_onerror(Some(&ended));
        self.probes.push(Probe { call, url, socket });
    }

    /// Ends the probes that a violation may concern. The event names only an origin, so all probes to that origin count
    /// as blocked.
    fn policy_violated(&mut self, context: &mut Context, event: &JsValue) {
        let event: &SecurityPolicyViolationEvent = event.unchecked_ref();
        let blocked = event.blocked_uri();
        let Some(origin) = origin_of(&blocked) else {
            return;
        };
        while let Some(probe) = self
            .probes
            .iter()
            .find(|p| origin_of(&p.url) == Some(origin))
        {
            self.probe_ended(context, probe.call, true);
        }
    }

    fn probe_ended(&mut self, context: &mut Context, call: CallId, is_blocked: bool) {
        if self.forget_probe(call) {
            context.report(Input::SocketProbed { call, is_blocked });
        }
    }

    /// Opens a socket. `payload` is the port that the page sent for the socket.
    pub(super) fn open(
        &mut self,
        context: &mut Context,
        call: CallId,
        handshake: &Handshake,
        payload: JsValue,
    ) {
        let Ok(port) = payload.dyn_into::<MessagePort>() else {
            return context.report(Input::CallClosed { call });
        };
        let protocols = JSON::parse(handshake.protocols.expose()).unwrap_or_default();
        let Some(socket) = connect(handshake.url.expose(), &protocols) else {
            tell_failed(&port);
            return context.report(Input::CallClosed { call });
        };
        socket.set_binary_type("arraybuffer");
        let listener = |event| context.listener(event, call.0);
        socket.set_onopen(Some(&listener(Event::SocketOpened)));
        socket.set_onmessage(Some(&listener(Event::SocketReceived)));
        socket.set_onerror(Some(&listener(Event::SocketFailed)));
        socket.set_onclose(Some(&listener(Event::SocketClosed)));
        let searched: Vec<&str> = handshake.searched.iter().map(Secret::expose).collect();
        self.open.push(ApiSocket {
            call,
            socket,
            port,
            guard: Guard::search_for(&searched),
            is_open: false,
        });
    }

    /// Handles an event of a socket, of a probe, of a page's port, or of the worker's Content-Security-Policy.
    pub(super) fn on_event(
        &mut self,
        context: &mut Context,
        event: Event,
        call: CallId,
        value: JsValue,
    ) {
        match event {
            Event::PolicyViolated => return self.policy_violated(context, &value),
            Event::ProbeEnded => return self.probe_ended(context, call, false),
            _ => {}
        }
        let Some(known) = self.find(call) else {
            return;
        };
        match event {
            Event::SocketOpened => {
                known.is_open = true;
                let protocol = known.socket.protocol();
                context.report(Input::SocketOpened { call, protocol });
            }
            Event::SocketReceived => self.receive(context, call, &value.unchecked_into()),
            // A failed handshake is reported at once: if the worker's Content-Security-Policy blocks the socket,
            // Chromium fires no close event. For a failed handshake, a close event would contain no further
            // information.
            Event::SocketFailed if !known.is_open => {
                tell_failed(&known.port);
                self.forget(call);
                context.report(Input::CallClosed { call });
            }
            Event::SocketFailed => post(&known.port, &JsValue::NULL, &JsValue::UNDEFINED),
            Event::SocketClosed => {
                known.tell_close(&value.unchecked_into());
                self.forget(call);
                context.report(Input::CallClosed { call });
            }
            _ => self.page_sent(context, call, &value.unchecked_into()),
        }
    }

    fn receive(&mut self, context: &mut Context, call: CallId, event: &MessageEvent) {
        let Some(known) = self.find(call) else {
            return;
        };
        let data = event.data();
        if size(&data) > MAX_MESSAGE {
            return self.break_off(context, call);
        }
        if known
            .guard
            .as_mut()
            .is_some_and(|guard| is_in(guard, &data))
        {
            self.close_socket(call, REFLECTED, "token_reflected");
            return context.report(Input::CallClosed { call });
        }
        // A buffer is transferred to the page without a copy. A string cannot be transferred.
        let transfer = if data.is_string() {
            JsValue::UNDEFINED
        } else {
            Array::of1(&data).into()
        };
        post(&known.port, &Array::of1(&data), &transfer);
    }

    fn page_sent(&mut self, context: &mut Context, call: CallId, event: &MessageEvent) {
        let Some(known) = self.find(call) else {
            return;
        };
        let message = event.data();
        let waiting = f64::from(known.socket.buffered_amount());
        if message.as_f64().is_some() {
            return post(&known.port, &waiting.into(), &JsValue::UNDEFINED);
        }
        let is_sent = if let Some(message) = message.dyn_ref::<Array>() {
            let data = message.get(0);
            let size = size(&data);
            let fits = size <= MAX_MESSAGE && waiting + size <= MAX_WAITING;
            // A socket that is closing drops the message. Without a vault, the page would see the same behavior.
            let _ = fits.then(|| known.socket.send(&data));
            fits
        } else {
            known.close_as(&message)
        };
        if !is_sent {
            self.break_off(context, call);
        }
    }

    /// From now on, searches the messages of each socket that has a guard for its own token and for these tokens.
    pub(super) fn search(&mut self, tokens: &[Secret]) {
        for guard in self
            .open
            .iter_mut()
            .filter_map(|known| known.guard.as_mut())
        {
            guard.renew(tokens);
        }
    }

    /// Sends the vault's own first message, which contains the token.
    pub(super) fn send_first(&mut self, call: CallId, message: &str) {
        if let Some(known) = self.find(call) {
            let _ = known.socket.send(&message.into());
        }
    }

    /// Tells the page that its socket is open, and accepts messages from the page from then on. Returns false if the
    /// call has no socket.
    pub(super) fn deliver(&mut self, context: &Context, call: CallId, message: &str) -> bool {
        let Some(known) = self.find(call) else {
            return false;
        };
        post(&known.port, &message.into(), &JsValue::UNDEFINED);
        let listener = context.listener(Event::PageSent, call.0);
        known.port.set_onmessage(Some(&listener));
        true
    }

    pub(super) fn close_socket(&mut self, call: CallId, code: u16, reason: &str) {
        if let Some(known) = self.forget(call) {
            tell_closed(&known.port, code, reason, true);
            // Closing with one of these codes never fails.
            let _ = known.socket.close_with(&code.into(), &reason.into());
        }
    }

    /// Closes a socket because of a message that exceeds a limit or is not valid.
    fn break_off(&mut self, context: &mut Context, call: CallId) {
        self.close_socket(call, TOO_MUCH, "limit_exceeded");
        context.report(Input::CallClosed { call });
    }

    /// Closes the probe and the socket of a call: the page is gone, or no longer needs the socket.
    pub(super) fn drop_call(&mut self, call: CallId) {
        self.forget_probe(call);
        if let Some(known) = self.forget(call) {
            close_plainly(&known.socket);
        }
    }

    fn find(&mut self, call: CallId) -> Option<&mut ApiSocket> {
        self.open.iter_mut().find(|socket| socket.call == call)
    }

    fn forget(&mut self, call: CallId) -> Option<ApiSocket> {
        let i = self.open.iter().position(|socket| socket.call == call)?;
        Some(self.open.swap_remove(i))
    }

    /// Closes the probe of a call. Returns false if the call has no probe.
    fn forget_probe(&mut self, call: CallId) -> bool {
        let Some(i) = self.probes.iter().position(|probe| probe.call == call) else {
            return false;
        };
        close_plainly(&self.probes.swap_remove(i).socket);
        true
    }
}

impl ApiSocket {
    /// Posts the members of the close event to the page, unless the close reason contains a token.
    fn tell_close(&mut self, event: &CloseEvent) {
        let (mut code, mut reason) = (event.code(), event.reason());
        if let Some(guard) = &mut self.guard
            && is_in(guard, &reason.as_str().into())
        {
            (code, reason) = (REFLECTED, "token_reflected".to_owned());
        }
        tell_closed(&self.port, code, &reason, event.was_clean());
    }

    /// Closes the socket with the code and reason in the page's `message`. Returns false if the message is not valid.
    /// The package's own code in the page sends only valid messages, but other scripts of the page may post anything.
    ///
    /// Arrays and views of buffers are refused, because the platform would convert them to strings. A nested array
    /// would expand into gigabytes, and a view of a buffer into a string several times its size.
    fn close_as(&self, message: &JsValue) -> bool {
        if !message.is_object() {
            return false;
        }
        let closure: &Closure = message.unchecked_ref();
        let (code, reason) = (closure.code(), closure.reason());
        let is_list = |value| Array::is_array(value) || ArrayBuffer::is_view(value);
        !is_list(&code) && !is_list(&reason) && self.socket.close_with(&code, &reason).is_ok()
    }
}

/// Returns a new socket. Returns `None` if the constructor throws.
fn connect(url: &str, protocols: &JsValue) -> Option<Socket> {
    let socket = WebSocket::new_with_str_sequence(url, protocols).ok()?;
    Some(socket.unchecked_into())
}

/// Returns the scheme and host of a URL, or `None` for a string that is not a URL with a host. The platform or the core
/// has serialized the URL, so the first slashes follow the scheme.
fn origin_of(url: &str) -> Option<&str> {
    let host = strings::split_once(url, b'/').0.len() + 2;
    let path = strings::split_once(url.get(host..)?, b'/').0;
    url.get(..host + path.len())
}

/// Returns true if `data`, a string or an `ArrayBuffer`, contains a token. The data is copied into this module's
/// memory in slices, because this memory never shrinks. A token that spans two slices is found, too.
fn is_in(guard: &mut Guard, data: &JsValue) -> bool {
    let text = data.dyn_ref::<Text>();
    let bytes = text.is_none().then(|| platform::bytes_of(data));
    let mut from = 0;
    let is_in = loop {
        let to = from + SLICE;
        let length = if let Some(bytes) = &bytes {
            let slice = bytes.subarray(from, to);
            let length = slice.length() as usize;
            slice.copy_to(guard.take(length));
            length
        } else {
            let slice = text.map_or_else(String::new, |text| text.slice(from, to));
            guard.take(slice.len()).copy_from_slice(slice.as_bytes());
            slice.len()
        };
        let free = guard.free();
        if length == 0 || free.is_none() {
            break free.is_none();
        }
        guard.forget(free.unwrap_or_default());
        from = to;
    };
    // The guard forgets this message, because each message is searched separately.
    guard.forget(guard.bytes().len());
    is_in
}

fn post(port: &MessagePort, message: &JsValue, transfer: &JsValue) {
    // A message that cannot be cloned is dropped.
    let _ = port.post_message_with_transferable(message, transfer);
}

/// Tells the page that its socket failed before the socket was open.
fn tell_failed(port: &MessagePort) {
    post(port, &JsValue::NULL, &JsValue::UNDEFINED);
    tell_closed(port, ABNORMAL, "", false);
}

fn tell_closed(port: &MessagePort, code: u16, reason: &str, was_clean: bool) {
    let closure: Closure = platform::dictionary("{}");
    closure.set_code(code);
    closure.set_reason(reason);
    closure.set_was_clean(was_clean);
    post(port, &closure, &JsValue::UNDEFINED);
}

fn close_plainly(socket: &Socket) {
    // Closing without a code never fails.
    let _ = socket.close_with(&JsValue::UNDEFINED, &JsValue::UNDEFINED);
}

/// Returns the size of a buffer or blob in bytes, or of a string in UTF-16 code units. Any other value has an infinite
/// size and so exceeds every limit.
fn size(data: &JsValue) -> f64 {
    if let Some(text) = data.dyn_ref::<JsString>() {
        f64::from(text.length())
    } else if let Some(buffer) = data.dyn_ref::<ArrayBuffer>() {
        f64::from(buffer.byte_length())
    } else if let Some(blob) = data.dyn_ref::<Blob>() {
        blob.size()
    } else {
        f64::INFINITY
    }
}
