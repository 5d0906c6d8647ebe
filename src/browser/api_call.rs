//! Requests to APIs. The core decides on the head of an answer; its body goes from the network to
//! the page piece by piece, most of them in the memory that they came in.

use crate::prelude::*;
use wasm_bindgen::JsValue;

use crate::Secret;
use crate::browser::host::{Host, Step, is_stream};
use crate::browser::platform;
use crate::egress::token_reflection::{Guard, Scope};
use crate::vault::{ApiRequest, CallId, Input, PortId, ResponseHead};

/// Pieces of a body that may be under way to a page that has asked for none yet. The page asks for
/// more as its reader takes them, so this is also the most that waits in the page.
const WINDOW: u32 = 8;

/// Pieces that the page asks for at once, when its reader has taken so many: most bodies end before
/// that, and cost no message. pkg/src/page/response.ts knows the number too.
const BATCH: u32 = 4;

/// The calls that are under way, and the bodies of those that are about to be.
#[derive(Default)]
pub(super) struct Calls(Vec<Call>);

/// What is not there yet, or not any more, is `undefined`.
#[derive(Default)]
struct Call {
    call: CallId,
    page: (PortId, f64),
    body: JsValue,
    controller: JsValue,
    /// The value of its header `DPoP`.
    #[cfg(feature = "extended")]
    proof: JsValue,
    response: JsValue,
    reader: JsValue,
    credit: u32,
    is_reading: bool,
    /// Looks for the token in the answer: in the body, too, if that is to be searched.
    guard: Option<Box<Guard>>,
    is_body_guarded: bool,
}

impl Calls {
    /// Keeps a request's body until the call is sent, and longer, in case it is sent again.
    pub(super) fn keep_body(&mut self, call: CallId, body: JsValue) {
        self.0.push(Call {
            call,
            body,
            ..Call::default()
        });
    }

    /// Takes out what came with a message.
    #[cfg(feature = "extended")]
    pub(super) fn take_body(&mut self, call: CallId) -> JsValue {
        let known = self.find(call);
        known.map_or(JsValue::UNDEFINED, |known| core::mem::take(&mut known.body))
    }

    fn find(&mut self, call: CallId) -> Option<&mut Call> {
        self.0.iter_mut().find(|c| c.call == call)
    }

    fn find_or_begin(&mut self, call: CallId) -> &mut Call {
        let i = self.0.iter().position(|c| c.call == call);
        let i = i.unwrap_or_else(|| {
            self.keep_body(call, JsValue::UNDEFINED);
            self.0.len() - 1
        });
        &mut self.0[i]
    }
}

impl Host {
    /// Sends a call.
    #[cfg_attr(
        not(feature = "extended"),
        allow(
            clippy::boxed_local,
            clippy::needless_pass_by_value,
            reason = "the larger module keeps it for a moment"
        )
    )]
    pub(super) fn send(&mut self, call: CallId, page: (PortId, f64), request: Box<ApiRequest>) {
        // Sent once more: the answer in hand is of no use, nor is the connection it came by.
        self.stop(call);
        let known = self.calls.find_or_begin(call);
        known.page = page;
        known.response = JsValue::UNDEFINED;
        known.controller = platform::abort_controller();
        known.guard = guard(&request);
        known.is_body_guarded = request.allowed.reflection() == Scope::All;
        #[cfg(feature = "extended")]
        if request.proof.is_some() {
            return self.sign_first(call, request);
        }
        match fetch(&self.scope, &request, known) {
            Ok(promise) => self.when(&promise, Step::Answer(call)),
            Err(_) => self.report(Input::CallFailed { call }),
        }
    }

    /// A call has its proof.
    #[cfg(feature = "extended")]
    pub(super) fn send_proven(&mut self, call: CallId, request: &ApiRequest, proof: &str) {
        let Some(known) = self.calls.find(call) else {
            return;
        };
        known.proof = platform::text(proof);
        match fetch(&self.scope, request, known) {
            Ok(promise) => self.when(&promise, Step::Answer(call)),
            Err(_) => self.report(Input::CallFailed { call }),
        }
    }

    /// Breaks off what a call has under way, and forgets to wait for it.
    fn stop(&mut self, call: CallId) {
        if let Some(call) = self.calls.find(call) {
            platform::abort(&call.controller);
        }
        #[cfg(feature = "extended")]
        self.forget_step(|step| matches!(step, Step::Sign(c, _) if *c == call));
        self.forget_step(|step| matches!(step, Step::Answer(c) | Step::Piece(c) if *c == call));
    }

    /// A call was answered, or failed.
    pub(super) fn answered(&mut self, call: CallId, answer: Result<JsValue, JsValue>) {
        let Ok(response) = answer else {
            return self.report(Input::CallFailed { call });
        };
        let head = head(&response);
        if let Some(known) = self.calls.find(call) {
            if known
                .guard
                .as_ref()
                .is_some_and(|guard| is_in_head(&self.scope, guard, &response))
            {
                return self.report(Input::CallReflected { call });
            }
            known.response = response;
        }
        self.report(Input::CallAnswered { call, head });
    }

    /// Gives an answer to its page: the head, with the list of headers, then the body.
    pub(super) fn deliver(&mut self, call: CallId, text: &str) {
        #[cfg(feature = "extended")]
        if self.deliver_socket(call, text) {
            return;
        }
        let Some(known) = self.calls.find(call) else {
            return;
        };
        let response = core::mem::take(&mut known.response);
        known.body = JsValue::UNDEFINED;
        known.credit = WINDOW;
        if !known.is_body_guarded {
            known.guard = None;
        }
        let stream = platform::body(&response);
        known.reader = platform::call(&stream, "getReader", &[]).unwrap_or_default();
        let (port, has_body) = (known.page.0, known.reader.is_truthy());

        let message = platform::array_of_2(&platform::text(text), &headers(&self.scope, &response));
        self.post(port, &message, &JsValue::UNDEFINED);
        if has_body {
            self.pump(call);
        } else {
            self.report(Input::CallClosed { call });
        }
    }

    /// The page asks for more pieces.
    pub(super) fn grant(&mut self, port: PortId, id: f64) {
        let Some(call) = self.calls.0.iter_mut().find(|c| c.page == (port, id)) else {
            return;
        };
        call.credit = call.credit.saturating_add(BATCH).min(2 * WINDOW);
        let call = call.call;
        self.pump(call);
    }

    /// Asks the network for the next piece of a body, if the page may have one.
    fn pump(&mut self, call: CallId) {
        let Some(known) = self.calls.find(call) else {
            return;
        };
        if known.is_reading || known.credit == 0 {
            return;
        }
        let Ok(piece) = platform::call(&known.reader, "read", &[]) else {
            return;
        };
        known.is_reading = true;
        known.credit -= 1;
        self.when(&piece, Step::Piece(call));
    }

    /// Passes a piece on to the page, or the end of the body, or its breaking off.
    pub(super) fn received(&mut self, call: CallId, piece: Result<JsValue, JsValue>) {
        let Some(known) = self.calls.find(call) else {
            return;
        };
        known.is_reading = false;
        let (port, id) = (known.page.0, JsValue::from_f64(known.page.1));
        let is_whole = piece.is_ok();
        let mut octets = platform::get(&piece.unwrap_or_default(), "value");
        let is_last = octets.is_undefined();
        if let Some(guard) = &mut known.guard {
            let length = platform::byte_length(&octets);
            let taken = guard.take(length);
            if !is_last {
                platform::copy_octets(taken, &octets);
            }
            let Some(mut free) = guard.free() else {
                return self.report(Input::CallReflected { call });
            };
            if is_last {
                free = if is_whole { guard.bytes().len() } else { 0 };
            }
            let given = guard.bytes().get(..free).unwrap_or_default();
            // To copy a piece anew costs more than to search it, mostly for memory that is collected late.
            octets = if is_last || free > length {
                platform::octets(given)
            } else {
                platform::refill(&octets, given)
            };
            guard.forget(free);
        }
        let is_empty = platform::byte_length(&octets) == 0;
        known.credit += u32::from(is_empty);
        if !is_empty {
            let transfer = platform::array_of_1(&platform::get(&octets, "buffer"));
            self.post(port, &platform::array_of_2(&id, &octets), &transfer);
        }
        if !is_last {
            return self.pump(call);
        }
        let last = if is_whole {
            JsValue::NULL
        } else {
            JsValue::FALSE
        };
        self.post(port, &platform::array_of_2(&id, &last), &JsValue::UNDEFINED);
        self.report(Input::CallClosed { call });
    }

    /// Forgets a call, and stops it if it runs.
    pub(super) fn forget_call(&mut self, call: CallId) {
        #[cfg(feature = "extended")]
        self.drop_socket(call);
        self.stop(call);
        if let Some(i) = self.calls.0.iter().position(|c| c.call == call) {
            self.calls.0.swap_remove(i);
        }
    }
}

fn fetch(scope: &JsValue, request: &ApiRequest, call: &Call) -> Result<JsValue, JsValue> {
    let init = platform::parse(&request.init)?;
    let headers = platform::headers(&platform::get(&init, "headers"))?;
    let authorization = platform::text(request.authorization.expose());
    platform::call(
        &headers,
        "set",
        &[&platform::text("authorization"), &authorization],
    )?;
    #[cfg(feature = "extended")]
    if call.proof.is_string() {
        platform::call(&headers, "set", &[&platform::text("dpop"), &call.proof])?;
    }
    platform::set(&init, "headers", &headers);
    platform::set(&init, "method", &platform::text(request.allowed.method()));
    platform::set(&init, "body", &call.body);
    if is_stream(&call.body) {
        platform::set(&init, "duplex", &platform::text("half"));
    }
    platform::set(&init, "signal", &platform::get(&call.controller, "signal"));
    // A redirect is never followed: fetch would take the page's headers along.
    platform::set(&init, "redirect", &platform::text("manual"));
    platform::call(
        scope,
        platform::FETCH,
        &[&platform::text(request.allowed.url()), &init],
    )
}

/// The search for the session's tokens in the response, unless the rule turns it off.
fn guard(request: &ApiRequest) -> Option<Box<Guard>> {
    if request.allowed.reflection() == Scope::Nothing {
        return None;
    }
    let tokens: Vec<&str> = request.searched.iter().map(Secret::expose).collect();
    Guard::search_for(&tokens).map(Box::new)
}

/// Whether the token is in the headers or the reason phrase.
fn is_in_head(scope: &JsValue, guard: &Guard, response: &JsValue) -> bool {
    let head = platform::array_of_2(
        &headers(scope, response),
        &platform::get(response, "statusText"),
    );
    let head = platform::call(&head, "join", &[]).unwrap_or_default();
    platform::to_text(&head).is_some_and(|head| guard.is_in(head.as_bytes()))
}

/// A list of pairs.
fn headers(scope: &JsValue, response: &JsValue) -> JsValue {
    let array = platform::get(scope, "Array");
    let headers = platform::call(&array, "from", &[&platform::get(response, "headers")]);
    headers.unwrap_or_default()
}

fn head(response: &JsValue) -> ResponseHead {
    let text = |name| platform::get_text(response, name).unwrap_or_default();
    ResponseHead {
        // That of a redirect that was not followed is 0.
        status: platform::status(response),
        status_text: text("statusText"),
        url: text("url"),
        redirected: platform::get(response, "redirected").is_truthy(),
        has_body: platform::body(response).is_truthy(),
        www_authenticate: platform::header(response, "www-authenticate"),
        #[cfg(feature = "extended")]
        dpop_nonce: platform::header(response, "dpop-nonce"),
    }
}
