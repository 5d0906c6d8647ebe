//! Requests to the provider. The host sends these requests without credentials and without a referrer, follows no
//! redirects, and limits the size of the responses.

use crate::base::strings;
use crate::prelude::*;

use js_sys::Promise;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{AbortController, Headers, ReadableStreamDefaultReader, Response};

use crate::Secret;
use crate::base::clock::Millis;
use crate::base::http::{HttpReply, HttpRequest, MAX_BODY, Outcome};
use crate::browser::context::{Context, Progress};
use crate::browser::dpop;
use crate::browser::platform::{self, FetchInit, ReadResult, WorkerScope};
use crate::codec::json;
use crate::oauth::dpop::UnsignedProof;
use crate::vault::{Input, OpId};

/// A request to the provider and its response.
pub(super) struct ProviderRequest {
    controller: Option<AbortController>,
    stage: RequestStage,
}

enum RequestStage {
    Begun(HttpRequest),
    /// The host signs the request's DPoP proof.
    Signing(HttpRequest, UnsignedProof),
    Sent,
    Reading(PartialResponse),
}

/// A response whose body is being read.
struct PartialResponse {
    reply: Box<HttpReply>,
    reader: ReadableStreamDefaultReader,
    body: Vec<u8>,
}

impl ProviderRequest {
    pub(super) fn new(request: HttpRequest) -> Self {
        Self {
            controller: AbortController::new().ok(),
            stage: RequestStage::Begun(request),
        }
    }

    /// Returns true if the request was sent and no response has arrived.
    pub(super) const fn has_no_response(&self) -> bool {
        matches!(self.stage, RequestStage::Sent)
    }

    /// Aborts the request, unless it has ended.
    pub(super) fn end(&self) {
        if let Some(controller) = &self.controller {
            controller.abort();
        }
    }

    pub(super) fn advance(
        &mut self,
        op: OpId,
        context: &Context,
        value: JsValue,
    ) -> Result<Progress, JsValue> {
        let promise = match core::mem::replace(&mut self.stage, RequestStage::Sent) {
            RequestStage::Begun(mut request) => match request.proof.take() {
                Some(proof) => {
                    let Some(signing) = context.keys.sign(&context.scope, &proof) else {
                        let outcome = Outcome::KeyLost;
                        return Ok(Progress::Done(Input::Responded { op, outcome }));
                    };
                    self.stage = RequestStage::Signing(request, proof);
                    signing?
                }
                None => self.send(&context.scope, &request, None)?,
            },
            RequestStage::Signing(request, proof) => {
                let proof = proof.signed(&dpop::signature(&value));
                self.send(&context.scope, &request, Some(&proof))?
            }
            RequestStage::Sent => {
                let response: Response = value.unchecked_into();
                let reply = head(&response);
                let Some(reader) = platform::body_reader(&response) else {
                    return Ok(done(op, reply));
                };
                let promise = reader.read();
                self.stage = RequestStage::Reading(PartialResponse {
                    reply,
                    reader,
                    body: Vec::new(),
                });
                promise
            }
            RequestStage::Reading(mut response) => {
                if response.is_complete_with(&value.unchecked_into()) {
                    return Ok(done(op, response.reply));
                }
                let promise = response.reader.read();
                self.stage = RequestStage::Reading(response);
                promise
            }
        };
        Ok(Progress::Wait(promise.into()))
    }

    fn send(
        &self,
        scope: &WorkerScope,
        request: &HttpRequest,
        proof: Option<&Secret>,
    ) -> Result<Promise, JsValue> {
        // A GET without a token fetches metadata, or keys that the vault does not have. A cached response may be too old to
        // contain a new key, so the browser must ask the provider if the cached response is current.
        let init: FetchInit = platform::dictionary(if request.form.is_some() {
            r#"{"method":"POST","cache":"no-store","credentials":"omit","redirect":"manual","referrerPolicy":"no-referrer"}"#
        } else if request.access_token.is_some() {
            // The response may echo the token, and is about the user.
            r#"{"cache":"no-store","credentials":"omit","redirect":"manual","referrerPolicy":"no-referrer"}"#
        } else {
            r#"{"cache":"no-cache","credentials":"omit","redirect":"manual","referrerPolicy":"no-referrer"}"#
        });
        let headers = Headers::new_with_str_sequence_sequence(&JsValue::UNDEFINED)?;
        headers.set("accept", "application/json")?;
        if let Some(token) = &request.access_token {
            let scheme = if proof.is_some() { "DPoP " } else { "Bearer " };
            headers.set("authorization", &[scheme, token.expose()].concat())?;
        }
        if let Some(proof) = proof {
            headers.set("dpop", proof.expose())?;
        }
        if let Some(form) = &request.form {
            headers.set("content-type", "application/x-www-form-urlencoded")?;
            init.set_body(&form.expose().into());
        }
        init.set_headers(&headers);
        init.set_keepalive(request.keepalive);
        if let Some(controller) = &self.controller {
            init.set_signal(Some(&controller.signal()));
        }
        scope.saved_fetch(&request.url, &init)
    }
}

fn done(op: OpId, reply: Box<HttpReply>) -> Progress {
    let outcome = Outcome::Reply(reply);
    Progress::Done(Input::Responded { op, outcome })
}

/// Returns the reply without its body.
fn head(response: &Response) -> Box<HttpReply> {
    let header = |name| platform::header(response, name);
    let date = header("date").and_then(|value| milliseconds(&value));
    Box::new(HttpReply {
        status: response.status(),
        content_type: header("content-type"),
        retry_after: header("retry-after").and_then(|value| retry_after(&value, date)),
        date,
        body: None,
        dpop_nonce: platform::header(response, "dpop-nonce"),
        location: None,
    })
}

/// Returns the delay in a `Retry-After` header, or `None` if the value is not valid. A valid value is a number of
/// seconds or a date (RFC 9110 10.2.3). A date is compared with the provider's time, `date`, if that is known.
fn retry_after(value: &str, date: Option<u64>) -> Option<Millis> {
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that is too long for 64 bits stands for the longest wait.
        return Some(Millis::from_secs(
            json::parse_u64(value).unwrap_or(u64::MAX),
        ));
    }
    let now = date.unwrap_or_else(|| platform::wall_clock() as u64);
    milliseconds(value).map(|at| Millis(at.saturating_sub(now)))
}

fn milliseconds(date: &str) -> Option<u64> {
    let time = js_sys::Date::parse(date);
    time.is_finite().then_some(time as u64)
}

impl PartialResponse {
    /// Appends a chunk to the body. Returns true at the end of the body. Also returns true, with no body, if the body
    /// exceeds the limit; the operation then ends and aborts the response.
    fn is_complete_with(&mut self, read: &ReadResult) -> bool {
        let Some(chunk) = read.value() else {
            // If the body is not UTF-8, the reply has no body.
            let body = core::mem::take(&mut self.body);
            self.reply.body = strings::from_utf8(body).map(Secret::new);
            return true;
        };
        let length = self.body.len();
        let total = length + chunk.length() as usize;
        if total > MAX_BODY {
            return true;
        }
        self.body.resize(total, 0);
        chunk.copy_to(&mut self.body[length..]);
        false
    }
}
