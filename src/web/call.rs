//! Requests to APIs. The core decides on the head of an answer; its body goes from the network to
//! the page piece by piece, each handed over without being copied.

use crate::prelude::*;
use core::cell::RefCell;

use js_sys::{Array, JSON, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{
    AbortController, ReadableStream, ReadableStreamDefaultReader, RequestInit, Response,
    ResponseType,
};

use super::host::Host;
use super::js;
use crate::vault::{ApiRequest, CallId, Input, PortId, ResponseHead};

/// Pieces of a body that may be under way to a page that has asked for none yet. The page asks for
/// one more with each piece that its reader takes, so this is also the most that waits in the page.
const WINDOW: u32 = 8;

/// The calls that are under way.
#[derive(Default)]
pub(super) struct Calls(RefCell<Vec<Call>>);

#[derive(Default)]
struct Call {
    call: CallId,
    page: (PortId, f64),
    body: JsValue,
    controller: Option<AbortController>,
    response: Option<Response>,
    reader: Option<ReadableStreamDefaultReader>,
    credit: u32,
    is_reading: bool,
}

impl Calls {
    /// Changes call `call`, which is made if need be.
    fn with<T>(&self, call: CallId, change: impl FnOnce(&mut Call) -> T) -> T {
        let mut calls = self.0.borrow_mut();
        let i = calls
            .iter()
            .position(|c| c.call == call)
            .unwrap_or_else(|| {
                calls.push(Call {
                    call,
                    ..Call::default()
                });
                calls.len() - 1
            });
        change(&mut calls[i])
    }

    /// Keeps a request's body until the call is sent, and longer, in case it is sent again.
    pub(super) fn keep_body(&self, call: CallId, body: JsValue) {
        self.with(call, |c| c.body = body);
    }

    /// Sends a call.
    pub(super) fn send(&self, host: &Host, call: CallId, page: (PortId, u64), request: ApiRequest) {
        let Ok(controller) = AbortController::new() else {
            return;
        };
        let body = self.with(call, |c| {
            c.page = (page.0, page.1 as f64);
            c.response = None;
            // Sent once more: the answer in hand is of no use, nor is the connection it came by.
            if let Some(before) = c.controller.replace(controller.clone()) {
                before.abort();
            }
            c.body.clone()
        });
        let promise = fetch(host, &request, &body, &controller);
        let host = host.clone();
        spawn_local(async move {
            let answer = match promise {
                Ok(promise) => JsFuture::from(promise).await,
                Err(error) => Err(error),
            };
            // Given up meanwhile, or sent once more: this answer is nobody's.
            if controller.signal().aborted() {
                return;
            }
            match answer {
                Ok(response) => {
                    let response: Response = response.unchecked_into();
                    let head = head(&response);
                    host.calls().with(call, |c| c.response = Some(response));
                    host.handle(Input::CallAnswered { call, head });
                }
                Err(_) => host.handle(Input::CallFailed { call }),
            }
        });
    }

    /// Gives an answer to its page: the head, with the list of headers, then the body.
    pub(super) fn deliver(&self, host: &Host, call: CallId, text: &str) {
        let (page, response) = self.with(call, |c| (c.page, c.response.take()));
        let Some(response) = response else {
            return;
        };
        let headers = Array::from(&response.headers());
        host.post(page.0, &Array::of2(&text.into(), &headers).into());
        let Some(stream) = response.body() else {
            return closed_later(host, call);
        };
        self.with(call, |c| {
            c.reader = Some(stream.get_reader().unchecked_into());
            c.credit = WINDOW;
            c.body = JsValue::UNDEFINED;
        });
        pump(host, call);
    }

    /// The page asks for one more piece.
    pub(super) fn grant(&self, host: &Host, port: PortId, id: f64) {
        let call = {
            let mut calls = self.0.borrow_mut();
            let Some(call) = calls.iter_mut().find(|c| c.page == (port, id)) else {
                return;
            };
            call.credit = call.credit.saturating_add(1).min(2 * WINDOW);
            call.call
        };
        pump(host, call);
    }

    /// Forgets a call, and stops it if it runs.
    pub(super) fn forget(&self, call: CallId) {
        let forgotten = {
            let mut calls = self.0.borrow_mut();
            let i = calls.iter().position(|c| c.call == call);
            i.map(|i| calls.swap_remove(i))
        };
        if let Some(controller) = forgotten.and_then(|c| c.controller) {
            controller.abort();
        }
    }
}

/// Sends the next piece of a body, if the page may have one, and then the one after.
fn pump(host: &Host, call: CallId) {
    let reader = host.calls().with(call, |c| {
        if c.is_reading || c.credit == 0 {
            return None;
        }
        let reader = c.reader.clone()?;
        c.is_reading = true;
        c.credit -= 1;
        Some(reader)
    });
    let Some(reader) = reader else {
        return;
    };
    let host = host.clone();
    spawn_local(async move {
        let piece = JsFuture::from(reader.read()).await;
        let Some((port, id)) = host.calls().still_read(call) else {
            return;
        };
        let value = match piece {
            Ok(piece) if !js::get(&piece, "done").is_truthy() => js::get(&piece, "value"),
            Ok(_) => JsValue::NULL,
            Err(_) => JsValue::FALSE,
        };
        let message = Array::of2(&id.into(), &value).into();
        if let Some(octets) = value.dyn_ref::<Uint8Array>() {
            host.post_transferring(port, &message, &Array::of1(&octets.buffer()));
            pump(&host, call);
        } else {
            host.post(port, &message);
            host.handle(Input::CallClosed { call });
        }
    });
}

impl Calls {
    /// A read is over. To whom its piece goes, if anybody still wants it.
    fn still_read(&self, call: CallId) -> Option<(PortId, f64)> {
        let mut calls = self.0.borrow_mut();
        let call = calls.iter_mut().find(|c| c.call == call)?;
        call.is_reading = false;
        Some(call.page)
    }
}

/// Reports the end of a call outside of the loop that is running.
fn closed_later(host: &Host, call: CallId) {
    let host = host.clone();
    spawn_local(async move { host.handle(Input::CallClosed { call }) });
}

fn fetch(
    host: &Host,
    request: &ApiRequest,
    body: &JsValue,
    controller: &AbortController,
) -> Result<js_sys::Promise, JsValue> {
    let init = JSON::parse(&request.init)?;
    let authorization = Array::of2(
        &"authorization".into(),
        &request.authorization.expose().into(),
    );
    let headers: Array = js::get(&init, "headers").unchecked_into();
    headers.push(&authorization);
    let is_stream = body.is_instance_of::<ReadableStream>();
    let members: [(&str, &JsValue); 5] = [
        ("method", &request.allowed.method().into()),
        ("body", body),
        (
            "duplex",
            &if is_stream {
                "half".into()
            } else {
                JsValue::UNDEFINED
            },
        ),
        ("signal", &controller.signal()),
        // A redirect is never followed: fetch would take the page's headers along.
        ("redirect", &"manual".into()),
    ];
    for (name, value) in members {
        Reflect::set(&init, &name.into(), value)?;
    }
    let init: RequestInit = init.unchecked_into();
    let scope = host.scope();
    Ok(scope.fetch_with_str_and_init(request.allowed.url(), &init))
}

fn head(response: &Response) -> ResponseHead {
    let is_redirect = response.type_() == ResponseType::Opaqueredirect;
    ResponseHead {
        status: if is_redirect { 0 } else { response.status() },
        status_text: response.status_text(),
        url: response.url(),
        redirected: response.redirected(),
        has_body: response.body().is_some(),
        www_authenticate: response.headers().get("www-authenticate").ok().flatten(),
    }
}
