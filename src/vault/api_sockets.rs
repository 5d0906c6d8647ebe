//! Sockets of pages to APIs: opened with the token of the moment, and closed with the session that they were
//! opened in.
//!
//! A socket waits for a valid token as a call does, and is listed with the calls. What goes through it is none of
//! this machine's business: the host passes it on. How often a token expires while a socket is open does not
//! matter either; the API has seen one, and decides for itself how long that is good.
//!
//! If the worker's Content-Security-Policy does not allow a socket, the violation report contains the socket's whole
//! address (CSP 3 5.4), and so a token in the query. The vault therefore tries such an address without the token first.
//! Policies do not compare queries, so the result also holds for the address with the token.
//!
//! A handshake that failed tells no script why (WHATWG `WebSockets` 3.1), so that it is not tried again here: a 401
//! cannot be told from a network that is down.

use crate::prelude::*;

use crate::base::error::{Code, Error, Result};
use crate::base::strings;
use crate::egress::token_reflection::Scope;
use crate::egress::websocket::{self, Place};
use crate::session::EndReason;
use crate::vault::api_calls::{Call, Stage};
use crate::vault::list;
use crate::vault::message::{SocketRequest, message};
use crate::vault::{Body, CallId, Output, PortId, Vault};

/// Most sockets of one page at once.
const MAX_SOCKETS_OF_A_PAGE: usize = 32;
/// Most addresses that are remembered as allowed. Beyond that the oldest is forgotten, and is tried again at its next
/// use.
const MAX_PROBED: usize = 64;
/// Most sockets at once, over all pages.
const MAX_SOCKETS: usize = 128;

/// The code that a socket is closed with when its session is over, or its token before it was sent: Unauthorized, of
/// IANA's registry of WebSocket close codes.
const UNAUTHORIZED: u16 = 3000;

/// What makes a call a socket.
pub(super) struct Socket {
    place: Place,
    /// The sub-protocols that the page named.
    protocols: Vec<String>,
    probe: Probe,
}

/// The attempt without a token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Probe {
    /// The probe has not begun, or is not needed.
    None,
    Pending,
    Passed,
}

impl Vault {
    pub(super) fn socket(
        &mut self,
        (port, id): (PortId, u64),
        call: CallId,
        request: SocketRequest,
    ) {
        let admitted = self.admit_socket(port, id, call, request);
        self.begin_call((port, id), call, admitted);
    }

    fn admit_socket(
        &mut self,
        port: PortId,
        id: u64,
        call: CallId,
        request: SocketRequest,
    ) -> Result<Box<Call>> {
        let (allowed, place) = self.ctx.config.rules.authorize_socket(&request.url)?;
        websocket::check_protocols(&request.protocols)?;
        let place = place.clone();
        self.find_room(port, id)?;
        let sockets = || self.calls.iter().filter(|call| call.socket.is_some());
        let of_this_page = sockets().filter(|call| call.port == port).count();
        if of_this_page >= MAX_SOCKETS_OF_A_PAGE || sockets().count() >= MAX_SOCKETS {
            let message = msg!("32 sockets of this page, or 128 of all, are open already");
            return Err(Error::new(Code::LimitExceeded, message));
        }
        if self.ctx.session.is_none() {
            return Err(self.ctx.no_session());
        }
        Ok(Box::new(Call {
            call,
            port,
            id,
            allowed,
            init: String::new(),
            body: Body::OneShot,
            stage: Stage::Waiting,
            was_retried: false,
            is_orphan: false,
            proven: crate::vault::dpop::Proven::default(),
            socket: Some(Box::new(Socket {
                place,
                protocols: request.protocols,
                probe: Probe::None,
            })),
        }))
    }

    /// Opens a socket, if this is one.
    pub(super) fn open_socket(&mut self, call: CallId) -> bool {
        let is_inspected = self.ctx.is_inspected();
        let (Some(known), Some(session)) = (
            list::find(&mut self.calls, |c| c.call == call),
            &self.ctx.session,
        ) else {
            return false;
        };
        let Some(socket) = &mut known.socket else {
            return false;
        };
        let url = known.allowed.url();
        if matches!(socket.place, Place::Query { .. }) && socket.probe != Probe::Passed {
            let address = without_query(url);
            if !self.probed.iter().any(|probed| probed == address) {
                // A refresh may end while the probe is in flight.
                if socket.probe == Probe::None {
                    socket.probe = Probe::Pending;
                    let url = address.to_owned();
                    self.ctx.outputs.push(Output::ProbeSocket { call, url });
                }
                return true;
            }
        }
        let which = known.allowed.token_selector();
        let Some(token) = session.latest_access_token_of(which) else {
            return false;
        };
        match socket.place.handshake(url, &socket.protocols, token) {
            Ok(mut handshake) => {
                if known.allowed.reflection() == Scope::All {
                    handshake.token = Some(token.clone());
                }
                let detail = is_inspected.then(|| known.allowed.description());
                known.stage = Stage::Sent {
                    generation: session.issued(which),
                };
                let handshake = Box::new(handshake);
                self.ctx
                    .outputs
                    .push(Output::OpenSocket { call, handshake });
                self.ctx
                    .trace_call("call_sent", call, None, detail.as_deref());
            }
            Err(error) => self.reject_call(call, &error),
        }
        true
    }

    pub(super) fn socket_probed(&mut self, call: CallId, is_blocked: bool) {
        let Some(known) = list::find(&mut self.calls, |c| c.call == call) else {
            return self.ctx.drop_call(call);
        };
        let address = without_query(known.allowed.url()).to_owned();
        if is_blocked {
            let message = [
                msg!("the worker's Content-Security-Policy does not allow a socket to "),
                &address,
                msg!(", and its violation report would contain the access token"),
            ];
            return self.reject_call(call, &Error::of(Code::SocketBlocked, &message));
        }
        if let Some(socket) = &mut known.socket {
            socket.probe = Probe::Passed;
        }
        if self.probed.len() == MAX_PROBED {
            self.probed.remove(0);
        }
        self.probed.push(address);
        self.send_or_wait(call);
    }

    pub(super) fn socket_opened(&mut self, call: CallId, protocol: &str) {
        let is_it = |c: &Call| c.call == call && matches!(c.stage, Stage::Sent { .. });
        let (Some(known), Some(session)) = (list::find(&mut self.calls, is_it), &self.ctx.session)
        else {
            return self.ctx.drop_call(call);
        };
        let Some(socket) = &known.socket else {
            return;
        };
        let text = message("socket")
            .number("id", known.id)
            .text("protocol", websocket::visible(protocol, &socket.protocols))
            .finish();
        // The token of now: the handshake may have taken longer than its own lived.
        let which = known.allowed.token_selector();
        if let Some(token) = session.latest_access_token_of(which)
            && let Some(text) = socket.place.first_message(token)
        {
            if session.access_token_of(which, &self.ctx.now).is_none() {
                // A server may speak while a refresh is waited for, and the page does not know of the socket yet.
                self.forget_call(call);
                return self.close_socket(call, "token_expired");
            }
            let token = token.clone();
            self.ctx
                .outputs
                .push(Output::SendFirst { call, text, token });
        }
        self.ctx.trace_call("call_answered", call, Some(101), None);
        self.deliver(call, text);
    }

    /// The session is over that these sockets were opened in.
    pub(super) fn close_sockets(&mut self, reason: Option<EndReason>) {
        let reason = reason.map_or("replaced", EndReason::as_str);
        let is_open = |c: &Call| c.socket.is_some() && !matches!(c.stage, Stage::Waiting);
        while let Some(known) = list::take(&mut self.calls, is_open) {
            self.close_socket(known.call, reason);
        }
    }

    fn close_socket(&mut self, call: CallId, reason: &str) {
        self.ctx.outputs.push(Output::CloseSocket {
            call,
            code: UNAUTHORIZED,
            reason: reason.to_owned(),
        });
        self.ctx.drop_call(call);
    }
}

fn without_query(url: &str) -> &str {
    strings::split_once(url, b'?').0
}
