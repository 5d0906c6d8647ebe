//! Requests to the provider: without credentials, without referrer, without following redirects, and
//! with an answer of bounded size.

use crate::prelude::*;
use core::time::Duration;

use js_sys::{Date, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortSignal, ReadableStreamDefaultReader, RequestInit, Response, WorkerGlobalScope};
use zeroize::Zeroize;

use super::js;
use crate::Secret;
use crate::http::{HttpReply, HttpRequest, MAX_BODY, Outcome};

/// Sends a request and reads the answer.
pub(super) async fn send(
    scope: &WorkerGlobalScope,
    request: HttpRequest,
    signal: &AbortSignal,
) -> Outcome {
    match exchange(scope, &request, signal).await {
        Ok(reply) => Outcome::Reply(reply),
        Err(_) => Outcome::Failed,
    }
}

async fn exchange(
    scope: &WorkerGlobalScope,
    request: &HttpRequest,
    signal: &AbortSignal,
) -> Result<HttpReply, JsValue> {
    let accept = ("accept", &JsValue::from_str("application/json"));
    let form_type = &JsValue::from_str("application/x-www-form-urlencoded");
    let (method, headers, body) = match &request.form {
        None => ("GET", js::object(&[accept]), JsValue::UNDEFINED),
        Some(form) => (
            "POST",
            js::object(&[accept, ("content-type", form_type)]),
            JsValue::from_str(form.expose()),
        ),
    };
    let init = js::object(&[
        ("method", &method.into()),
        ("headers", &headers),
        ("body", &body),
        ("signal", signal),
        ("keepalive", &request.keepalive.into()),
        ("credentials", &"omit".into()),
        ("redirect", &"manual".into()),
        ("referrerPolicy", &"no-referrer".into()),
        (
            "cache",
            &if request.form.is_some() {
                "no-store"
            } else {
                "default"
            }
            .into(),
        ),
    ]);
    let init: RequestInit = init.unchecked_into();
    let promise = scope.fetch_with_str_and_init(&request.url, &init);
    let response: Response = JsFuture::from(promise).await?.unchecked_into();
    let header = |name| response.headers().get(name).ok().flatten();
    Ok(HttpReply {
        status: response.status(),
        content_type: header("content-type"),
        retry_after: header("retry-after").and_then(|text| retry_after(&text)),
        date: header("date").and_then(|text| milliseconds(&text)),
        body: body_text(&response).await?,
    })
}

/// RFC 9110 10.2.3: seconds, or a date.
fn retry_after(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let now = Date::now() as u64;
    milliseconds(text).map(|at| Duration::from_millis(at.saturating_sub(now)))
}

fn milliseconds(date: &str) -> Option<u64> {
    let time = Date::parse(date);
    time.is_finite().then_some(time as u64)
}

/// The body, unless it is too long or not UTF-8.
async fn body_text(response: &Response) -> Result<Option<Secret>, JsValue> {
    let Some(stream) = response.body() else {
        return Ok(None);
    };
    let reader: ReadableStreamDefaultReader = stream.get_reader().unchecked_into();
    let mut bytes = Vec::new();
    loop {
        let piece = JsFuture::from(reader.read()).await?;
        if js::get(&piece, "done").is_truthy() {
            break;
        }
        let piece: Uint8Array = js::get(&piece, "value").unchecked_into();
        let length = bytes.len();
        let total = length + piece.length() as usize;
        if total > MAX_BODY {
            bytes.zeroize();
            let _ = reader.cancel();
            return Ok(None);
        }
        grow(&mut bytes, total);
        piece.copy_to(&mut bytes[length..]);
    }
    Ok(String::from_utf8(bytes).ok().map(Secret::new))
}

/// Grows `bytes` without leaving a copy of its content behind, as `Vec::resize` may.
fn grow(bytes: &mut Vec<u8>, length: usize) {
    if bytes.capacity() < length {
        let mut larger = Vec::with_capacity(length.next_power_of_two());
        larger.extend_from_slice(bytes);
        bytes.zeroize();
        *bytes = larger;
    }
    bytes.resize(length, 0);
}
