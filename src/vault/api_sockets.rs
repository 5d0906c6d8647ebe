//! Sockets of pages to APIs. The vault opens a socket with the current access token, and closes the socket when the
//! session ends.
//!
//! A socket is listed as a call, and waits for a valid token in the same way as other calls. The host passes the
//! messages on the socket between the page and the API. A socket stays open when its token expires; the API decides how
//! long it accepts the token of the handshake.
//!
//! If the worker's Content-Security-Policy does not allow a socket, the violation report contains the socket's whole
//! URL (CSP 3 5.4), including a token in the query. If the token goes in the query, the vault therefore first connects
//! to the URL without its query. Policies ignore queries, so the result also applies to the URL with the token.
//!
//! A script cannot learn why a handshake failed (WHATWG `WebSockets` 3.1): a 401 looks like a network failure. The
//! vault therefore does not repeat a failed handshake.

use rules::prelude::*;

use crate::call_list::socket::{Probe, Socket};
use crate::call_list::{Call, CallList, CallStage};
use crate::context::Context;
use crate::io::{Body, CallId, Output, PortId, RequestId};
use crate::message::{SocketRequest, message};
use rules::base::error::{Code, Error, Result};
use rules::base::list;
use rules::base::strings;
use rules::egress::token_reflection::Scope;
use rules::egress::websocket::{self, Place};
use rules::session::EndReason;

/// Largest number of sockets of one page at the same time.
const MAX_SOCKETS_OF_A_PAGE: usize = 32;
/// Largest number of URLs that are remembered as allowed. If there are more, the oldest URL is forgotten, and the next
/// socket to that URL needs a probe again.
const MAX_PROBED: usize = 64;
/// Largest number of sockets of all pages at the same time.
const MAX_SOCKETS: usize = 128;

/// The close code if the session has ended or was replaced, or if the token expired before it was sent: "Unauthorized"
/// in IANA's registry of WebSocket close codes.
const UNAUTHORIZED: u16 = 3000;

/// The URLs, without their queries, to which the worker's Content-Security-Policy allows sockets. The URL that was
/// added first comes first.
#[derive(Default)]
pub(super) struct Sockets {
    probed: Vec<String>,
}

/// Checks a request for a socket. Returns a call that waits for a token.
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

impl Sockets {
    /// Opens the call's socket, or begins its probe. Returns false if the call is not for a socket.
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
            if !self.probed.iter().any(|url| url == address) {
                // The probe may already be in flight, because `open` is also called at the end of a refresh.
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
                    handshake.searched = ctx.searched.with(Some(token), &ctx.now);
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

    /// Handles the result of a probe. Returns true if the socket can now be opened with the token.
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
}

/// Handles the event that a socket is open.
pub(super) fn opened(ctx: &mut Context, list: &mut CallList, call: CallId, protocol: &str) {
    let is_it = |c: &Call| c.call == call && matches!(c.stage, CallStage::Sent { .. });
    let (Some(known), Some(session)) = (list::find(&mut list.calls, is_it), &ctx.session) else {
        return ctx.drop_call(call);
    };
    let Some(socket) = &known.socket else {
        return;
    };
    let text = message("socket")
        .number("id", known.id.0)
        .text("protocol", websocket::visible(protocol, &socket.protocols))
        .finish();
    // The first message contains the current token, because the handshake may have taken so long that its token has
    // expired.
    let selector = known.allowed.token_selector();
    if let Some(token) = session.latest_access_token_of(selector)
        && let Some(text) = socket.place.first_message(token)
    {
        // At its idle limit, the session may have ended in another tab. This is known only after a read of the store.
        let is_valid = session.access_token_of(selector, &ctx.now).is_some();
        if !is_valid || ctx.is_in_doubt() {
            // The socket does not wait for a refresh: the server could send messages in the meantime, and the page
            // does not know yet that the socket is open.
            list.forget(call);
            return send_close(ctx, call, "token_expired");
        }
        ctx.outputs.push(Output::SendFirst { call, text });
    }
    ctx.trace_call("call_answered", call, Some(101), None);
    list.deliver(ctx, call, text);
}

/// Closes the open sockets when their session is over. `reason` is `None` if another session replaces that session.
pub(super) fn close(ctx: &mut Context, list: &mut CallList, reason: Option<EndReason>) {
    let reason = reason.map_or("replaced", EndReason::seen_as);
    let is_open = |c: &Call| c.socket.is_some() && !matches!(c.stage, CallStage::Waiting);
    while let Some(known) = list::take(&mut list.calls, is_open) {
        send_close(ctx, known.call, reason);
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
