//! Requests to the provider: without credentials, without referrer, without following redirects, and
//! with an answer of bounded size.

use crate::base::strings;
use crate::prelude::*;

use wasm_bindgen::JsValue;

use crate::Secret;
use crate::base::clock::Millis;
use crate::base::http::{HttpReply, HttpRequest, MAX_BODY, Outcome};
#[cfg(feature = "extended")]
use crate::browser::dpop::{self, Keys};
use crate::browser::operation::Next;
use crate::browser::platform;
use crate::codec::json;
use crate::vault::{Input, OpId};

/// Metadata and keys are fetched when they are needed and not there, or not known: an answer from
/// the cache would not know them either.
const GET: &str = concat!(
    r#"{"headers":{"accept":"application/json"},"cache":"no-cache","#,
    r#""credentials":"omit","redirect":"manual","referrerPolicy":"no-referrer"}"#,
);

const POST: &str = concat!(
    r#"{"method":"POST","#,
    r#""headers":{"accept":"application/json","content-type":"application/x-www-form-urlencoded"},"cache":"no-store","#,
    r#""credentials":"omit","redirect":"manual","referrerPolicy":"no-referrer"}"#,
);

/// A request to the provider and its answer.
pub(super) struct Exchange {
    controller: JsValue,
    stage: Stage,
}

enum Stage {
    Begun(HttpRequest),
    /// Its proof is being signed.
    #[cfg(feature = "extended")]
    Signing(HttpRequest),
    Sent,
    Reading(Answer),
}

/// An answer whose body is being read.
struct Answer {
    reply: Box<HttpReply>,
    reader: JsValue,
    octets: Vec<u8>,
}

impl Exchange {
    pub(super) fn new(request: HttpRequest) -> Self {
        Self {
            controller: platform::abort_controller(),
            stage: Stage::Begun(request),
        }
    }

    /// Returns true if the request was sent and nothing of a response could be read.
    pub(super) const fn is_unanswered(&self) -> bool {
        matches!(self.stage, Stage::Sent)
    }

    /// Gives the request up, unless it is over.
    pub(super) fn end(&self) {
        platform::abort(&self.controller);
    }

    pub(super) fn advance(
        &mut self,
        op: OpId,
        scope: &JsValue,
        #[cfg(feature = "extended")] keys: &Keys,
        value: &JsValue,
    ) -> Result<Next, JsValue> {
        let promise = match core::mem::replace(&mut self.stage, Stage::Sent) {
            #[cfg(feature = "extended")]
            Stage::Begun(request) if request.proof.is_some() => {
                let Some(signing) = sign(scope, keys, &request) else {
                    let outcome = Outcome::KeyLost;
                    return Ok(Next::Done(Input::Answered { op, outcome }));
                };
                self.stage = Stage::Signing(request);
                signing?
            }
            #[cfg(feature = "extended")]
            Stage::Signing(request) => {
                let proof = request.proof.as_ref();
                let proof = proof.map(|proof| proof.signed(&dpop::signature(value)));
                send(scope, &request, &self.controller, proof.as_ref())?
            }
            #[cfg(feature = "extended")]
            Stage::Begun(request) => send(scope, &request, &self.controller, None)?,
            #[cfg(not(feature = "extended"))]
            Stage::Begun(request) => send(scope, &request, &self.controller)?,
            Stage::Sent => {
                let reply = head(value);
                let body = platform::body(value);
                if !body.is_truthy() {
                    return Ok(answered(op, reply));
                }
                let reader = platform::call(&body, "getReader", &[])?;
                let answer = Answer {
                    reply,
                    reader,
                    octets: Vec::new(),
                };
                let promise = answer.read()?;
                self.stage = Stage::Reading(answer);
                promise
            }
            Stage::Reading(mut answer) => {
                if answer.is_complete_with(value) {
                    return Ok(answered(op, answer.reply));
                }
                let promise = answer.read()?;
                self.stage = Stage::Reading(answer);
                promise
            }
        };
        Ok(Next::When(promise))
    }
}

fn answered(op: OpId, reply: Box<HttpReply>) -> Next {
    let outcome = Outcome::Reply(reply);
    Next::Done(Input::Answered { op, outcome })
}

/// Begins to sign a request's proof. `None` if the key for it is gone.
#[cfg(feature = "extended")]
fn sign(scope: &JsValue, keys: &Keys, request: &HttpRequest) -> Option<Result<JsValue, JsValue>> {
    keys.sign(scope, request.proof.as_ref()?)
}

fn send(
    scope: &JsValue,
    request: &HttpRequest,
    controller: &JsValue,
    #[cfg(feature = "extended")] proof: Option<&Secret>,
) -> Result<JsValue, JsValue> {
    let init = platform::literal(if request.form.is_some() { POST } else { GET });
    if let Some(form) = &request.form {
        platform::set(&init, "body", &platform::text(form.expose()));
    }
    #[cfg(feature = "extended")]
    if let Some(proof) = proof {
        let headers = platform::get(&init, "headers");
        platform::set(&headers, "dpop", &platform::text(proof.expose()));
    }
    platform::set(&init, "keepalive", &JsValue::from_bool(request.keepalive));
    platform::set(&init, "signal", &platform::get(controller, "signal"));
    platform::call(
        scope,
        platform::FETCH,
        &[&platform::text(&request.url), &init],
    )
}

/// An answer without its body.
fn head(response: &JsValue) -> Box<HttpReply> {
    Box::new(HttpReply {
        status: platform::status(response),
        content_type: platform::header(response, "content-type"),
        retry_after: platform::header(response, "retry-after").and_then(|text| retry_after(&text)),
        date: platform::header(response, "date").and_then(|text| milliseconds(&text)),
        body: None,
        #[cfg(feature = "extended")]
        dpop_nonce: platform::header(response, "dpop-nonce"),
    })
}

/// RFC 9110 10.2.3: seconds, or a date.
fn retry_after(text: &str) -> Option<Millis> {
    if let Some(seconds) = json::parse_u64(text) {
        return Some(Millis::from_secs(seconds));
    }
    let now = platform::wall_clock() as u64;
    milliseconds(text).map(|at| Millis(at.saturating_sub(now)))
}

fn milliseconds(date: &str) -> Option<u64> {
    let time = platform::parse_date(date);
    time.is_finite().then_some(time as u64)
}

impl Answer {
    fn read(&self) -> Result<JsValue, JsValue> {
        platform::call(&self.reader, "read", &[])
    }

    /// Takes what was read. Whether that was the end: of the body, or of the patience with it.
    fn is_complete_with(&mut self, read: &JsValue) -> bool {
        let piece = platform::get(read, "value");
        if piece.is_undefined() {
            // Without a body, too, if it is not UTF-8.
            let octets = core::mem::take(&mut self.octets);
            self.reply.body = strings::from_utf8(octets).map(Secret::new);
            return true;
        }
        let length = self.octets.len();
        let total = length + platform::byte_length(&piece);
        if total > MAX_BODY {
            // Whether it hears of that does not matter.
            let _ = platform::call(&self.reader, "cancel", &[]);
            return true;
        }
        self.octets.resize(total, 0);
        platform::copy_octets(&mut self.octets[length..], &piece);
        false
    }
}
