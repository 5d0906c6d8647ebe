//! Sockets of pages to APIs: opened with the current token, and closed when their session ends.
//!
//! A socket waits for a valid token as a call does, and is listed with the calls. The host passes its messages on. A
//! socket stays open when its token expires; the API decides how long it accepts the token of the handshake.
//!
//! If the worker's Content-Security-Policy does not allow a socket, the violation report contains the socket's whole
//! address (CSP 3 5.4), and so a token in the query. The vault therefore tries such an address without the token first.
//! Policies do not compare queries, so the result also holds for the address with the token.
//!
//! A script cannot learn why a handshake failed (WHATWG `WebSockets` 3.1): a 401 looks like a network failure. So a
//! failed handshake is not repeated.

use crate::prelude::*;

use crate::base::error::{Code, Error, Result};
use crate::base::strings;
use crate::egress::token_reflection::Scope;
use crate::egress::websocket::{self, Place};
use crate::session::EndReason;
use crate::vault::api_calls::call_list::{Call, CallList, CallStage};
use crate::vault::api_calls::socket::{Probe, Socket};
use crate::vault::context::Context;
use crate::vault::io::{Body, CallId, Output, PortId, RequestId};
use crate::vault::list;
use crate::vault::message::{SocketRequest, message};

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

/// The addresses that the worker's policy allows sockets to, without their queries. The oldest comes first.
#[derive(Default)]
pub(super) struct Sockets {
    probed: Vec<String>,
}

impl Sockets {
    /// Checks a socket, and lists it as a call that waits.
    pub(super) fn admit(
        ctx: &Context,
        list: &CallList,
        page: (PortId, RequestId),
        call: CallId,
        request: SocketRequest,
    ) -> Result<Box<Call>> {
        let (allowed, place) = ctx.config.rules.authorize_socket(&request.url)?;
        websocket::check_protocols(&request.protocols)?;
        let place = place.clone();
        list.find_room(page)?;
        let sockets = || list.calls.iter().filter(|call| call.socket.is_some());
        let of_this_page = sockets().filter(|call| call.port == page.0).count();
        if of_this_page >= MAX_SOCKETS_OF_A_PAGE || sockets().count() >= MAX_SOCKETS {
            let message = msg!("32 sockets of this page, or 128 of all, are open already");
            return Err(Error::new(Code::LimitExceeded, message));
        }
        if ctx.session.is_none() {
            return Err(ctx.no_session());
        }
        let socket = Box::new(Socket {
            place,
            protocols: request.protocols,
            probe: Probe::None,
        });
        let (init, body) = (String::new(), Body::OneShot);
        let call = Call::new(call, page, allowed, init, body, Some(socket));
        Ok(Box::new(call))
    }

    /// Opens the call's socket, if the call is for a socket.
    pub(super) fn open(&self, ctx: &mut Context, list: &mut CallList, call: CallId) -> bool {
        let is_inspected = ctx.is_inspected();
        let (Some(known), Some(session)) = (
            list::find(&mut list.calls, |c| c.call == call),
            &ctx.session,
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
                    ctx.outputs.push(Output::ProbeSocket { call, url });
                }
                return true;
            }
        }
        let selector = known.allowed.token_selector();
        let Some(token) = session.latest_access_token_of(selector) else {
            return false;
        };
        match socket.place.handshake(url, &socket.protocols, token) {
            Ok(mut handshake) => {
                if known.allowed.reflection() == Scope::All {
                    handshake.token = Some(token.clone());
                }
                let detail = is_inspected.then(|| known.allowed.description());
                known.stage = CallStage::Sent {
                    generation: session.issued(selector),
                };
                let handshake = Box::new(handshake);
                ctx.outputs.push(Output::OpenSocket { call, handshake });
                ctx.trace_call("call_sent", call, None, detail.as_deref());
            }
            Err(error) => list.reject(ctx, call, &error),
        }
        true
    }

    /// Handles the result of a probe. Returns true if the socket can be opened with the token.
    pub(super) fn handle_probe(
        &mut self,
        ctx: &mut Context,
        list: &mut CallList,
        call: CallId,
        is_blocked: bool,
    ) -> bool {
        let Some(known) = list::find(&mut list.calls, |c| c.call == call) else {
            ctx.drop_call(call);
            return false;
        };
        let address = without_query(known.allowed.url()).to_owned();
        if is_blocked {
            let message = [
                msg!("the worker's Content-Security-Policy does not allow a socket to "),
                &address,
                msg!(", and its violation report would contain the access token"),
            ];
            list.reject(ctx, call, &Error::of(Code::SocketBlocked, &message));
            return false;
        }
        if let Some(socket) = &mut known.socket {
            socket.probe = Probe::Passed;
        }
        if self.probed.len() == MAX_PROBED {
            self.probed.remove(0);
        }
        self.probed.push(address);
        true
    }

    /// Handles the opening of a socket.
    pub(super) fn opened(ctx: &mut Context, list: &mut CallList, call: CallId, protocol: &str) {
        let is_it = |c: &Call| c.call == call && matches!(c.stage, CallStage::Sent { .. });
        let (Some(known), Some(session)) = (list::find(&mut list.calls, is_it), &ctx.session)
        else {
            return ctx.drop_call(call);
        };
        let Some(socket) = &known.socket else {
            return;
        };
        let text = message("socket")
            .number("id", known.id.0)
            .text("protocol", websocket::visible(protocol, &socket.protocols))
            .finish();
        // The token of now: the handshake may have taken longer than its own lived.
        let selector = known.allowed.token_selector();
        if let Some(token) = session.latest_access_token_of(selector)
            && let Some(text) = socket.place.first_message(token)
        {
            if session.access_token_of(selector, &ctx.now).is_none() {
                // A server may speak while a refresh is waited for, and the page does not know of the socket yet.
                list.forget(call);
                return send_close(ctx, call, "token_expired");
            }
            let token = token.clone();
            ctx.outputs.push(Output::SendFirst { call, text, token });
        }
        ctx.trace_call("call_answered", call, Some(101), None);
        list.deliver(ctx, call, text);
    }

    /// Closes the sockets of a session that is over.
    pub(super) fn close(ctx: &mut Context, list: &mut CallList, reason: Option<EndReason>) {
        let reason = reason.map_or("replaced", EndReason::as_str);
        let is_open = |c: &Call| c.socket.is_some() && !matches!(c.stage, CallStage::Waiting);
        while let Some(known) = list::take(&mut list.calls, is_open) {
            send_close(ctx, known.call, reason);
        }
    }
}

fn without_query(url: &str) -> &str {
    strings::split_once(url, b'?').0
}

fn send_close(ctx: &mut Context, call: CallId, reason: &str) {
    ctx.outputs.push(Output::CloseSocket {
        call,
        code: UNAUTHORIZED,
        reason: reason.to_owned(),
    });
    ctx.drop_call(call);
}
