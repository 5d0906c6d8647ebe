//! Requests to the provider. The host sends these requests without credentials and without a referrer, follows no
//! redirects, and limits the size of the responses.

use rules::base::strings;
use rules::prelude::*;

use js_sys::Promise;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{AbortController, Headers, ReadableStreamDefaultReader, Response};

use crate::dpop;
use crate::operation::Task;
use crate::platform::{self, FetchInit, ReadResult, WorkerScope};
use rules::Secret;
use rules::base::clock::Millis;
use rules::base::http::{HttpReply, HttpRequest, MAX_BODY, Outcome};
use rules::codec::json;
use rules::oauth::dpop::UnsignedProof;

/// Aborts a request when it is dropped, unless the request has ended.
struct AbortOnDrop(Option<AbortController>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some(controller) = &self.0 {
            controller.abort();
        }
    }
}

/// Sends a request, and reads its response.
pub(super) async fn exchange(task: &Task, mut request: HttpRequest) -> Outcome {
    let proof = match request.proof.take() {
        None => None,
        Some(proof) => match signed(task, proof).await {
            Some(Ok(proof)) => Some(proof),
            Some(Err(_)) => return Outcome::Failed,
            None => return Outcome::KeyLost,
        },
    };
    let abort = AbortOnDrop(AbortController::new().ok());
    let sending = send(&task.scope, &abort, &request, proof.as_ref());
    // The secrets in them are wiped now, and not when the response has arrived.
    drop((request, proof));
    let responded = match sending {
        Ok(sending) => task.wait(sending).await,
        Err(error) => Err(error),
    };
    let Ok(response) = responded else {
        // If the device is online, the browser may have hidden the response because of CORS.
        return match task.scope.navigator().on_line() {
            true => Outcome::Opaque,
            false => Outcome::Failed,
        };
    };
    let response: Response = response.unchecked_into();
    let mut reply = head(&response);
    if let Some(reader) = platform::body_reader(&response) {
        match body(task, &reader).await {
            Ok(body) => reply.body = body,
            Err(_) => return Outcome::Failed,
        }
    }
    Outcome::Reply(reply)
}

/// Signs a proof. Returns `None` if the host does not have the proof's key.
async fn signed(task: &Task, proof: UnsignedProof) -> Option<Result<Secret, JsValue>> {
    let signing = task.keys.borrow().sign(&task.scope, &proof)?;
    let signed = match signing {
        Ok(signing) => task.wait(signing).await,
        Err(error) => Err(error),
    };
    Some(signed.map(|signed| proof.signed(&dpop::signature(&signed))))
}

fn send(
    scope: &WorkerScope,
    abort: &AbortOnDrop,
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
    if let Some(controller) = &abort.0 {
        init.set_signal(Some(&controller.signal()));
    }
    scope.saved_fetch(&request.url, &init)
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

/// Returns the body, or `None` if the body exceeds the limit or is not UTF-8. The rest of a body that exceeds the limit is
/// aborted.
async fn body(
    task: &Task,
    reader: &ReadableStreamDefaultReader,
) -> Result<Option<Secret>, JsValue> {
    let mut body = Vec::new();
    loop {
        let read: ReadResult = task.wait(reader.read()).await?.unchecked_into();
        let Some(chunk) = read.value() else {
            return Ok(strings::from_utf8(body).map(Secret::new));
        };
        let length = body.len();
        let total = length + chunk.length() as usize;
        if total > MAX_BODY {
            return Ok(None);
        }
        body.resize(total, 0);
        chunk.copy_to(&mut body[length..]);
    }
}
