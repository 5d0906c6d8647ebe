//! Requests to APIs. The core decides what happens to the head of a response. The body goes from the network to the
//! page in chunks. Most chunks are transferred to the page without a copy. If the body is searched for tokens, the head
//! waits a short time for the end of the body: see [`body_delivery`]. Bytes that may be the beginning of a token wait for
//! the next bytes.

use js_sys::{Array, ArrayBuffer, JSON, Promise, Uint8Array};
use rules::prelude::*;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{
    AbortController, Blob, Headers, MessagePort, ReadableStream, ReadableStreamDefaultReader,
    Response,
};

use crate::context::{Context, Event, NO_WAIT, WaitId};
use crate::dpop;
use crate::platform::{self, FetchInit, ReadResult, Text, WorkerScope};
use rules::Secret;
use rules::base::list::{self, List};
use rules::egress::body_delivery;
use rules::egress::token_reflection::{Guard, Scope};
use rules::oauth::dpop::UnsignedProof;
use vault::{ApiRequest, CallId, Input, PortId, RequestId, ResponseHead};

/// The number of chunks of a body that the host sends before the page asks for more. The page asks for more chunks when
/// its reader has taken some, so at most this many chunks wait in the page.
const WINDOW: u32 = 8;

/// The number of chunks that the page requests with one message, after its reader has taken the same number. Most
/// bodies have fewer chunks than this, so the page sends no such message for them.
const BATCH: u32 = 4;

/// The length of one period of silence, in milliseconds. A call ends after two periods in a row without a message of the
/// response's receiver. The service worker with `media()` sends one every five seconds, and no event tells that it was
/// stopped.
const SILENT_PERIOD_MS: i32 = 10_000;

/// The exchanges with APIs for the calls in flight, each with the payload of the message that began its call.
#[derive(Default)]
pub(super) struct Exchanges(List<Exchange>);

/// The request and the response of a call, which may be sent again. The core knows the call itself.
#[derive(Default)]
struct Exchange {
    call: CallId,
    /// The page's port, and the page's own number for the call.
    page: (PortId, RequestId),
    /// The payload of the page's message: the request's body, or a port.
    payload: JsValue,
    /// The port that gets the response in place of the page, if the page has sent one: see [`Exchange::post`].
    receiver: Option<MessagePort>,
    /// The timer of the current period of silence.
    silence: WaitId,
    /// The number of silent periods in a row. One is not enough to end the call: the computer may have slept.
    silences: u8,
    controller: Option<AbortController>,
    stage: ExchangeStage,
    wait: WaitId,
    /// The response, until its head is posted.
    response: Option<Response>,
    /// The message with the head, while the head waits for the end of the body.
    head: JsValue,
    reader: Option<ReadableStreamDefaultReader>,
    credit: u32,
    /// Searches the response's head for tokens, and also the body if `is_body_guarded` is true.
    guard: Option<Box<Guard>>,
    is_body_guarded: bool,
    /// True if the body contains a token, while the head still waits.
    is_reflected: bool,
    /// The timer that ends the head's wait for the end of the body. After the head, the timer that ends the wait for the
    /// bytes that follow those which are held back. [`NO_WAIT`] if neither waits.
    timer: WaitId,
}

/// The promise that an exchange waits for.
#[derive(Default)]
enum ExchangeStage {
    #[default]
    Idle,
    /// The signature of the request's proof.
    Signing(Box<ApiRequest>, UnsignedProof),
    /// The response's head.
    Sent,
    /// The next chunk of a body that is short by its `Content-Length`, and the chunks before it. That header has the length
    /// of the compressed body, so the body may be long.
    ReadingWhole(Vec<u8>),
    /// The next chunk of the response's body.
    Reading,
}

impl Exchanges {
    /// Keeps the payload of a page's message, because the call may be sent again with the same body.
    pub(super) fn keep_payload(&mut self, call: CallId, payload: JsValue) {
        self.0.push(Box::new(Exchange {
            call,
            payload,
            ..Exchange::default()
        }));
    }

    /// Takes the payload of the page's message that began the call.
    pub(super) fn take_payload(&mut self, call: CallId) -> JsValue {
        self.find(call).map_or(JsValue::UNDEFINED, |known| {
            core::mem::take(&mut known.payload)
        })
    }

    fn find(&mut self, call: CallId) -> Option<&mut Exchange> {
        list::find(&mut self.0, |known| known.call == call)
    }

    fn find_or_insert(&mut self, call: CallId) -> &mut Exchange {
        let i = self.0.iter().position(|known| known.call == call);
        let i = i.unwrap_or_else(|| {
            self.keep_payload(call, JsValue::UNDEFINED);
            self.0.len() - 1
        });
        &mut self.0[i]
    }

    /// Sends a call.
    pub(super) fn send(
        &mut self,
        context: &mut Context,
        call: CallId,
        page: (PortId, RequestId),
        mut request: Box<ApiRequest>,
    ) {
        let known = self.find_or_insert(call);
        // When a call is sent again, its first request is aborted and the first response is dropped.
        known.stop();
        known.page = page;
        known.listen(context);
        known.response = None;
        known.is_reflected = false;
        known.controller = AbortController::new().ok();
        known.guard = guard(&request);
        known.is_body_guarded = known.guard.is_some() && request.allowed.reflection() == Scope::All;
        let Some(proof) = request.proof.take() else {
            return known.fetch(context, &request, None);
        };
        let signing = context.keys.borrow().sign(&context.scope, &proof);
        match signing {
            Some(Ok(promise)) => {
                known.stage = ExchangeStage::Signing(request, proof);
                known.wait = context.wait(&promise.into());
            }
            Some(Err(_)) => context.report(Input::CallFailed { call }),
            None => context.report(Input::CallUnsigned { call }),
        }
    }

    /// Continues the call that waited under the number `wait`, with the result of its promise.
    pub(super) fn resume(
        &mut self,
        context: &mut Context,
        wait: WaitId,
        result: Result<JsValue, JsValue>,
    ) {
        let is_it = |known: &Exchange| [known.wait, known.timer, known.silence].contains(&wait);
        let Some(known) = list::find(&mut self.0, is_it) else {
            return;
        };
        if known.silence == wait {
            return known.end_silence(context);
        }
        if known.timer == wait {
            known.timer = NO_WAIT;
            return known.end_wait(context);
        }
        known.wait = NO_WAIT;
        match core::mem::take(&mut known.stage) {
            ExchangeStage::Signing(request, proof) => match result {
                Ok(signed) => {
                    let proof = proof.signed(&dpop::signature(&signed));
                    known.fetch(context, &request, Some(&proof));
                }
                Err(_) => context.report(Input::CallFailed { call: known.call }),
            },
            ExchangeStage::Sent => known.take_response(context, result),
            ExchangeStage::ReadingWhole(before) => known.take_whole(context, before, result),
            ExchangeStage::Reading => known.take_chunk(context, result),
            ExchangeStage::Idle => {}
        }
    }

    /// Posts the response to the page: first `head`, which is a JSON message, with the array of the response's headers;
    /// then the body.
    pub(super) fn deliver(&mut self, context: &mut Context, call: CallId, head: &str) {
        if let Some(known) = self.find(call) {
            known.deliver(context, head);
        }
    }

    /// Allows [`BATCH`] more chunks to be sent to a page. `id` is the page's number for the call. The page posted this
    /// number directly to the host, so the core has not checked the number.
    pub(super) fn grant(&mut self, context: &mut Context, port: PortId, id: f64) {
        let is_it = |known: &Exchange| known.page.0 == port && known.number() == id;
        if let Some(known) = list::find(&mut self.0, is_it) {
            known.credit = known.credit.saturating_add(BATCH).min(2 * WINDOW);
            known.read(context);
        }
    }

    /// Handles a message on the port that gets the response to a call: a positive number requests one more chunk of the
    /// body, zero says that the receiver still exists, and any other message ends the call.
    pub(super) fn receiver_sent(&mut self, context: &mut Context, call: CallId, data: &JsValue) {
        let Some(known) = self.find(call) else {
            return;
        };
        let Some(more) = data.as_f64() else {
            return context.report(Input::CallClosed { call });
        };
        known.silences = 0;
        if more > 0.0 {
            known.credit = known.credit.saturating_add(1).min(WINDOW);
            known.read(context);
        }
    }

    /// From now on, searches each response that has a guard for its own token and for these tokens.
    pub(super) fn search(&mut self, context: &mut Context, tokens: &[Secret]) {
        for known in &mut self.0 {
            known.search(context, tokens);
        }
    }

    /// Forgets a call, and aborts its request if it is in flight.
    pub(super) fn forget(&mut self, context: &Context, call: CallId) {
        if let Some(mut known) = list::take(&mut self.0, |known| known.call == call) {
            known.stop();
            known.release(context);
        }
    }
}

impl Exchange {
    /// Returns the page's number for the call, as a JavaScript number.
    const fn number(&self) -> f64 {
        self.page.1.0 as f64
    }

    /// Aborts the request. The result of the promise that the call waits for will be ignored.
    fn stop(&mut self) {
        if let Some(controller) = &self.controller {
            controller.abort();
        }
        self.wait = NO_WAIT;
        self.timer = NO_WAIT;
        self.stage = ExchangeStage::Idle;
    }

    /// Listens to the port that the page has sent for the response, if it has sent one.
    fn listen(&mut self, context: &mut Context) {
        if let Some(port) = self.payload.dyn_ref::<MessagePort>() {
            port.set_onmessage(Some(&context.listener(Event::ReceiverSent, self.call.0)));
            self.receiver = Some(port.clone());
            self.payload = JsValue::UNDEFINED;
            self.silence = context.wait_for(SILENT_PERIOD_MS);
        }
    }

    /// Ends the call if its receiver has been silent for two periods.
    fn end_silence(&mut self, context: &mut Context) {
        self.silences += 1;
        if self.silences < 2 {
            self.silence = context.wait_for(SILENT_PERIOD_MS);
        } else {
            context.report(Input::CallClosed { call: self.call });
        }
    }

    /// Tells the receiver of the response, which may wait for more, and the page, that the call is over.
    fn release(&self, context: &Context) {
        if let Some(port) = &self.receiver {
            let id = JsValue::from_f64(self.number());
            self.post(
                context,
                &Array::of2(&id, &JsValue::FALSE),
                &JsValue::UNDEFINED,
            );
            port.close();
            let message = Array::of2(&id, &JsValue::NULL);
            context.post(self.page.0, &message, &JsValue::UNDEFINED);
        }
    }

    /// Posts a part of the response to the page, or to the port that the page has sent for the response.
    fn post(&self, context: &Context, message: &Array, transfer: &JsValue) {
        match &self.receiver {
            // A message that cannot be cloned is dropped.
            Some(port) => drop(port.post_message_with_transferable(message, transfer)),
            None => context.post(self.page.0, message, transfer),
        }
    }

    /// Renews the guard. If the body crosses in chunks, reads the bytes that wait with the new guard.
    fn search(&mut self, context: &mut Context, tokens: &[Secret]) {
        if let Some(guard) = &mut self.guard {
            guard.renew(tokens);
            if self.reader.is_some() && self.response.is_none() {
                self.pass(context, None, false);
            }
        }
    }

    fn fetch(&mut self, context: &mut Context, request: &ApiRequest, proof: Option<&Secret>) {
        match self.begin_fetch(&context.scope, request, proof) {
            Ok(promise) => {
                self.stage = ExchangeStage::Sent;
                self.wait = context.wait(&promise.into());
            }
            Err(_) => context.report(Input::CallFailed { call: self.call }),
        }
    }

    fn begin_fetch(
        &self,
        scope: &WorkerScope,
        request: &ApiRequest,
        proof: Option<&Secret>,
    ) -> Result<Promise, JsValue> {
        let init: FetchInit = JSON::parse(&request.init)?.unchecked_into();
        let headers = Headers::new_with_str_sequence_sequence(&init.get_headers())?;
        headers.set("authorization", request.authorization.expose())?;
        if let Some(proof) = proof {
            headers.set("dpop", proof.expose())?;
        }
        init.set_headers(&headers);
        init.set_method(request.allowed.method());
        init.set_body(&self.payload);
        if is_stream(&self.payload) {
            init.set_duplex("half");
        }
        if let Some(controller) = &self.controller {
            init.set_signal(Some(&controller.signal()));
        }
        // A redirect is never followed, because its target is not checked against the rules. `fetch` would send the token
        // to any address of the same origin. To another origin, it would send the proof and the page's headers: it removes
        // only `Authorization` there (Fetch, HTTP-redirect fetch).
        init.set_redirect("manual");
        scope.saved_fetch(request.allowed.url(), &init)
    }

    /// Reports the head of the response, or the failure of the request, to the core.
    fn take_response(&mut self, context: &mut Context, result: Result<JsValue, JsValue>) {
        let call = self.call;
        let Ok(response) = result else {
            return context.report(Input::CallFailed { call });
        };
        let response: Response = response.unchecked_into();
        if self
            .guard
            .as_ref()
            .is_some_and(|guard| is_in_head(guard, &response))
        {
            return context.report(Input::CallReflected { call });
        }
        let head = head(&response);
        if self.is_body_guarded
            && head.has_body
            && body_delivery::may_wait(platform::header(&response, "content-type").as_deref())
        {
            self.timer = context.wait_for(body_delivery::TIME_LIMIT_MS);
        }
        self.response = Some(response);
        context.report(Input::CallResponded { call, head });
    }

    fn deliver(&mut self, context: &mut Context, head: &str) {
        let Some(response) = &self.response else {
            return;
        };
        self.payload = JsValue::UNDEFINED;
        self.credit = if self.receiver.is_some() { 0 } else { WINDOW };
        if !self.is_body_guarded {
            self.guard = None;
        }
        let is_whole = self.receiver.is_some() && self.guard.is_none() && is_short(response);
        self.reader = platform::body_reader(response);
        self.head = head.into();
        if is_whole && self.reader.is_some() {
            return self.read_whole(context, Vec::new());
        }
        if self.timer == NO_WAIT {
            self.post_head(context, None);
        }
        if self.reader.is_some() {
            self.read(context);
        } else {
            context.report(Input::CallClosed { call: self.call });
        }
    }

    /// Begins to read the next chunk of a body that seems to be short. `known` are the chunks before it.
    fn read_whole(&mut self, context: &mut Context, known: Vec<u8>) {
        if let Some(reader) = &self.reader {
            self.stage = ExchangeStage::ReadingWhole(known);
            self.wait = context.wait(&reader.read().into());
        }
    }

    /// Posts the head with the whole body when the body has ended, or without it when the body is too long.
    fn take_whole(
        &mut self,
        context: &mut Context,
        mut known: Vec<u8>,
        result: Result<JsValue, JsValue>,
    ) {
        let Ok(read) = result else {
            return context.report(Input::CallClosed { call: self.call });
        };
        let read: ReadResult = read.unchecked_into();
        let Some(chunk) = read.value() else {
            self.post_head(context, Some(Uint8Array::new_from_slice(&known)));
            return context.report(Input::CallClosed { call: self.call });
        };
        known.extend(chunk.to_vec());
        if known.len() <= body_delivery::MAX_WHOLE {
            return self.read_whole(context, known);
        }
        self.post_head(context, None);
        self.post_chunk(context, &Uint8Array::new_from_slice(&known));
        self.read(context);
    }

    /// Posts the head, with the whole body if `body` is not `None`. If bodies are searched and no byte comes with the
    /// head, the head has no `Content-Length`. For a response to HEAD, Chromium may have an empty body in place of
    /// `null`.
    fn post_head(&mut self, context: &Context, body: Option<Uint8Array>) {
        let Some(response) = self.response.take() else {
            return;
        };
        let mut headers = platform::entries(&response.headers());
        if self.is_body_guarded && body.as_ref().is_none_or(|body| body.length() == 0) {
            headers = platform::without_length(&headers);
        }
        // The body is copied, because a copy of such a short body costs no more than a transfer.
        let body = body.map_or(JsValue::UNDEFINED, Into::into);
        let message = Array::of2(&self.head, &Array::of2(&headers, &body));
        self.post(context, &message, &JsValue::UNDEFINED);
    }

    /// Posts what has waited for a time that is now over: the head, or bytes that were held back.
    fn end_wait(&mut self, context: &mut Context) {
        if self.is_reflected {
            self.break_off(context);
        } else if self.reader.is_none() {
            // The core has not decided on the head yet. It will not wait.
        } else if self.response.is_some() {
            self.pass(context, None, false);
        } else if let Some(guard) = &mut self.guard {
            let chunk = Uint8Array::new_from_slice(guard.bytes());
            guard.release();
            self.post_chunk(context, &chunk);
        }
    }

    /// Ends a response whose body contains a token. If the head waits, it continues to wait: see [`body_delivery`].
    fn break_off(&mut self, context: &mut Context) {
        self.is_reflected = true;
        self.reader = None;
        if self.response.is_some() && self.timer != NO_WAIT {
            return;
        }
        self.post_head(context, None);
        context.report(Input::CallReflected { call: self.call });
    }

    /// Searches what has arrived of the body, with the next chunk, and posts it, after the head if that was not posted
    /// yet. Returns false if nothing more is to be read, because the whole body was posted with the head, or because
    /// the body contains a token.
    fn pass(&mut self, context: &mut Context, chunk: Option<Uint8Array>, has_ended: bool) -> bool {
        let Some(passed) = self.searched(chunk, has_ended) else {
            self.break_off(context);
            return false;
        };
        if self.response.is_some() && has_ended {
            self.post_head(context, passed);
            context.report(Input::CallClosed { call: self.call });
            return false;
        }
        self.post_head(context, None);
        if let Some(chunk) = passed.filter(|chunk| chunk.length() > 0) {
            self.post_chunk(context, &chunk);
        }
        let held = self
            .guard
            .as_ref()
            .map_or(0, |guard| guard.free_after_pause());
        self.timer = if held > 0 {
            context.wait_for(body_delivery::PAUSE_MS)
        } else {
            NO_WAIT
        };
        true
    }

    fn post_chunk(&mut self, context: &Context, chunk: &Uint8Array) {
        self.credit = self.credit.saturating_sub(1);
        let id = JsValue::from_f64(self.number());
        let transfer = Array::of1(&chunk.buffer());
        self.post(context, &Array::of2(&id, chunk), &transfer);
    }

    /// Begins to read the next chunk of the body, if the page may get another chunk.
    fn read(&mut self, context: &mut Context) {
        if let Some(reader) = &self.reader
            && self.wait == NO_WAIT
            && self.credit > 0
        {
            self.stage = ExchangeStage::Reading;
            self.wait = context.wait(&reader.read().into());
        }
    }

    /// Posts the result of a read to the page: a chunk, the end of the body, or its failure.
    fn take_chunk(&mut self, context: &mut Context, result: Result<JsValue, JsValue>) {
        let is_whole = result.is_ok();
        let mut chunk = result.ok().and_then(|read| {
            let read: ReadResult = read.unchecked_into();
            read.value()
        });
        let is_last = chunk.is_none();
        if self.response.is_some() {
            let length = self.keep(chunk.take().as_ref());
            if !is_last && length <= body_delivery::MAX_WHOLE {
                return self.read(context);
            }
        }
        if !self.pass(context, chunk, is_last && is_whole) {
            return;
        }
        if !is_last {
            return self.read(context);
        }
        let end = if is_whole {
            JsValue::NULL
        } else {
            JsValue::FALSE
        };
        let id = JsValue::from_f64(self.number());
        self.post(context, &Array::of2(&id, &end), &JsValue::UNDEFINED);
        context.report(Input::CallClosed { call: self.call });
    }

    /// Adds a chunk to the bytes that the guard has not passed on. Returns the number of these bytes.
    fn keep(&mut self, chunk: Option<&Uint8Array>) -> usize {
        let Some(guard) = &mut self.guard else {
            return 0;
        };
        if let Some(chunk) = chunk {
            chunk.copy_to(guard.take(chunk.length() as usize));
        }
        guard.bytes().len()
    }

    /// Searches the next chunk of the body for tokens. Returns the bytes that may now go to the page, which are all
    /// bytes if the body has ended, or `None` if the body contains a token.
    fn searched(
        &mut self,
        chunk: Option<Uint8Array>,
        has_ended: bool,
    ) -> Option<Option<Uint8Array>> {
        let kept = self.keep(chunk.as_ref());
        let Some(guard) = &mut self.guard else {
            return Some(chunk);
        };
        let free = guard.free()?;
        let free = if has_ended { kept } else { free };
        let given = guard.bytes().get(..free).unwrap_or_default();
        // The chunk's own memory is used again if possible. New memory costs more than the search, mostly because the
        // garbage collector frees it late.
        let passed = match chunk {
            Some(chunk) if free <= chunk.length() as usize => platform::refill(&chunk, given),
            _ => Uint8Array::new_from_slice(given),
        };
        guard.forget(free);
        Some(Some(passed))
    }
}

/// Returns true if `payload` is a stream. A stream can be sent only once.
pub(super) fn is_stream(payload: &JsValue) -> bool {
    payload.has_type::<ReadableStream>()
}

/// Returns true for the values that pages send with a message: the body of a request, or the port of a socket.
pub(super) fn is_payload(payload: &JsValue) -> bool {
    is_stream(payload)
        || payload.has_type::<ArrayBuffer>()
        || payload.has_type::<Blob>()
        || payload.has_type::<MessagePort>()
}

/// Returns true if the response has a body of at most [`MAX_WHOLE`](body_delivery::MAX_WHOLE) bytes, by its
/// `Content-Length`.
fn is_short(response: &Response) -> bool {
    let length = platform::header(response, "content-length");
    let length = length.and_then(|length| length.parse::<usize>().ok());
    length.is_some_and(|length| length <= body_delivery::MAX_WHOLE)
}

/// Returns the guard that searches the response for the session's tokens. Returns `None` if the configuration turns the
/// search off for this API, or if all tokens are too short to search for.
fn guard(request: &ApiRequest) -> Option<Box<Guard>> {
    if request.allowed.reflection() == Scope::Nothing {
        return None;
    }
    let tokens: Vec<&str> = request.searched.iter().map(Secret::expose).collect();
    Guard::search_for(&tokens).map(Box::new)
}

/// Returns true if the headers or the reason phrase of the response contain a token.
fn is_in_head(guard: &Guard, response: &Response) -> bool {
    let headers = platform::entries(&response.headers()).join(",");
    let headers: Text = headers.unchecked_into();
    guard.is_in(headers.copy().as_bytes()) || guard.is_in(response.status_text().as_bytes())
}

fn head(response: &Response) -> ResponseHead {
    ResponseHead {
        // The response is a redirect if the status is 0, because `redirect` is `manual`.
        status: response.status(),
        status_text: response.status_text(),
        url: response.url(),
        redirected: response.redirected(),
        has_body: platform::has_body(response),
        www_authenticate: platform::header(response, "www-authenticate"),
        dpop_nonce: platform::header(response, "dpop-nonce"),
        has_range: platform::header(response, "content-range").is_some(),
    }
}
