//! The bindings of the token handler, for `strongroom/edge`: the functions that its module exports to JavaScript.
//!
//! No decision may enter this crate. Bindings only convert values, and errors become objects with `code` and `message`.
//!
//! JavaScript receives each step as JSON, and returns the reply as a string. Bytes are passed in both directions without encoding.

#![cfg(target_arch = "wasm32")]
#![no_std]

// The token handler has no page that could look up an interned message.
const _: () = assert!(!rules::base::messages::ARE_INTERNED);

mod thrown;

use rules::prelude::*;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use edge::{
    Allowed, Broken, Check, Config, Effect, Entry, Event, Forward, HANDLER_HEADER, Handler, Head,
    Outer, OwnResponse, Reply, Request, Response, ServerHealth, Step, TaskId,
};
use rules::Secret;
use rules::base::clock::{Instant, Millis};
use rules::base::entropy::Entropy;
use rules::base::error::Code;
use rules::base::http::{HttpReply, Outcome};
use rules::base::strings;
use rules::codec::json::{self, Object, Value, Writer};
use rules::codec::url::Url;
use rules::egress::request_headers::pattern;
use rules::egress::token_reflection::Scope;

/// The token handler of one server isolate, for JavaScript.
#[wasm_bindgen]
pub struct Edge {
    handler: Handler,
    /// The bytes that the last effect needs besides its JSON, such as a sealed value or a signature.
    bytes: Vec<u8>,
}

struct Platform;

impl Entropy for Platform {
    fn fill(&mut self, bytes: &mut [u8]) {
        wasm::fill_random(bytes);
    }
}

#[wasm_bindgen]
impl Edge {
    /// Creates a handler from a configuration in JSON, and the name of its tenant if there are several.
    ///
    /// # Errors
    /// An object with `code`, which is `config_invalid`, and `message`.
    #[wasm_bindgen(constructor)]
    pub fn new(config: &str, tenant: Option<String>) -> Result<Self, JsValue> {
        let config = Config::parse(config).and_then(|config| match tenant {
            Some(name) => Ok(config.with_tenant(name)),
            None => config.without_tenants(),
        });
        let config = config.map_err(|error| thrown::object(&error))?;
        Ok(Self {
            handler: Handler::new(config, Box::new(Platform)),
            bytes: Vec::new(),
        })
    }

    /// Returns, as JSON, the headers that the token handler removes from requests and responses, and those that it
    /// sets.
    #[must_use]
    pub fn policy() -> String {
        edge::policy()
    }

    /// Returns the number of keys in the keyring, which seals cookies and stored sessions.
    #[must_use]
    pub fn key_count(&self) -> usize {
        self.handler.config().keys.keys().len()
    }

    /// Returns the bytes of the key at index `i` of the keyring, or no bytes if there is no such key.
    #[must_use]
    pub fn key(&self, i: usize) -> Vec<u8> {
        let keys = self.handler.config().keys.keys();
        keys.get(i)
            .map(|key| key.bytes().to_vec())
            .unwrap_or_default()
    }

    /// Returns the origin that browsers see for a request with this URL. Returns `None` if no entry of the option `origin`
    /// matches the URL's host.
    #[must_use]
    pub fn origin(&self, url: &str) -> Option<String> {
        let url = Url::parse(url)?;
        self.handler.config().origins.of(&url)
    }

    /// Starts a task for a request. `request` has one line for each member of [`Request`]; the line of a missing member
    /// is empty.
    pub fn begin(&mut self, monotonic: f64, wall: f64, request: &str) -> String {
        let (task, step) = self
            .handler
            .begin(instant(monotonic, wall), read_request(request));
        self.written(task, step)
    }

    /// Starts a task that does what the app's server asks: a command in JSON.
    pub fn manage(&mut self, monotonic: f64, wall: f64, command: &str) -> String {
        let (task, step) = self.handler.manage(instant(monotonic, wall), command);
        self.written(task, step)
    }

    /// Continues a task with a reply. `kind` is one of the constants for kinds of replies, such as `NOT_OPENED`.
    pub fn resume(
        &mut self,
        monotonic: f64,
        wall: f64,
        task: usize,
        kind: u32,
        text: &str,
    ) -> String {
        // The text of any other kind may contain a token.
        let cause = if kind == FAILED { text } else { "" };
        let reply = read_reply(kind, text).unwrap_or_else(|| Reply::Failed(cause.to_owned()));
        let step = self
            .handler
            .resume(instant(monotonic, wall), TaskId(task), reply);
        self.written(TaskId(task), step)
    }

    /// Continues a task with a reply that consists of bytes: an opened or sealed value, or a signature.
    pub fn resume_bytes(
        &mut self,
        monotonic: f64,
        wall: f64,
        task: usize,
        kind: u32,
        bytes: Vec<u8>,
    ) -> String {
        let reply = match kind {
            OPENED => Reply::Opened(strings::from_utf8(bytes).map(Secret::new)),
            SEALED => Reply::Sealed(bytes),
            SIGNED => Reply::Signed(bytes),
            _ => Reply::Failed(String::new()),
        };
        let step = self
            .handler
            .resume(instant(monotonic, wall), TaskId(task), reply);
        self.written(TaskId(task), step)
    }

    /// Returns the address of the bytes that the last effect needs besides its JSON.
    #[must_use]
    pub fn bytes(&self) -> *const u8 {
        self.bytes.as_ptr()
    }

    /// Returns the number of bytes that the last effect needs besides its JSON.
    #[must_use]
    pub fn bytes_length(&self) -> usize {
        self.bytes.len()
    }

    /// Takes a late period of the process, with its length in milliseconds, that ends now.
    pub fn note_lateness(&self, monotonic: f64, wall: f64, lateness: f64) {
        self.handler
            .note_lateness(instant(monotonic, wall), Millis(lateness as u64));
    }

    /// Reports a response that could not be passed on: the route's index and the request's ID are those of its step.
    pub fn response_broke(
        &self,
        monotonic: f64,
        wall: f64,
        route: usize,
        request_id: &str,
        code: &str,
        cause: &str,
    ) {
        let code = [Code::TokenReflected, Code::HandlerCrashed]
            .into_iter()
            .find(|known| known.as_str() == code)
            .unwrap_or(Code::UpstreamUnavailable);
        let broken = Broken {
            route,
            request_id,
            code,
            cause,
        };
        self.handler
            .response_broke(instant(monotonic, wall), &broken);
    }

    /// Lets the handler emit events for an observer.
    pub fn observe(&mut self) {
        self.handler.observe();
    }

    /// Emits the events that are due although no request caused them.
    pub fn tick(&mut self, monotonic: f64, wall: f64) {
        self.handler.tick(instant(monotonic, wall));
    }

    /// Returns true if sessions would lose their end or their new tokens without this handler.
    #[must_use]
    pub fn holds_unwritten(&self, monotonic: f64, wall: f64) -> bool {
        self.handler.holds_unwritten(instant(monotonic, wall))
    }

    /// Returns, as JSON, what the handler knows about its servers.
    #[must_use]
    pub fn health(&self) -> String {
        let health = self.handler.health();
        Writer::object()
            .number("requests", health.requests as u64)
            .json("provider", &server_json(&health.provider))
            .json("coordinator", &server_json(&health.coordinator))
            .finish()
    }

    /// Returns the next event as JSON, if there is one.
    pub fn event(&mut self) -> Option<String> {
        let event = self.handler.poll_event()?;
        Some(match event {
            Event::FlightFinished(flight) => Writer::object()
                .text("t", "finished")
                .number("flight", flight.0.into())
                .finish(),
            Event::Fault(fault) => Writer::object()
                .text("t", "fault")
                .json("line", &fault.to_json())
                .finish(),
            Event::Observed(observation) => Writer::object()
                .text("t", "observed")
                .json("event", &observation.to_json())
                .finish(),
            Event::Ended {
                reason,
                subject,
                session,
                by,
                why,
            } => Writer::object()
                .text("t", "ended")
                .text("reason", reason.seen_as())
                .text("sub", &subject)
                .text("session", &session)
                .text("by", &by)
                .text("why", &why)
                .finish(),
        })
    }

    fn written(&mut self, TaskId(task): TaskId, step: Step) -> String {
        let mut out = Writer::object();
        out.number("task", task as u64);
        match step {
            Step::Do(effect) => self.write_effect(&mut out, effect),
            Step::Done(response) => write_response(&mut out, &response),
        }
        out.finish()
    }

    fn write_effect(&mut self, out: &mut Writer, effect: Effect) {
        match effect {
            Effect::Open { key, sealed, aad } => {
                self.bytes = sealed;
                out.text("t", "open")
                    .number("key", key as u64)
                    .text("aad", &aad);
            }
            Effect::Seal { nonce, plain, aad } => {
                self.bytes = [nonce.as_slice(), plain.expose().as_bytes()].concat();
                out.text("t", "seal").text("aad", &aad);
            }
            Effect::Read(keys) => {
                let keys = json::string_array(keys.iter().map(String::as_str));
                out.text("t", "read").json("keys", &keys);
            }
            Effect::Swap {
                key,
                version,
                value,
                lifetime,
            } => {
                out.text("t", "swap")
                    .text("key", &key)
                    .optional_text("version", version.as_deref())
                    .text("value", &value)
                    .number("ttl", lifetime.as_secs().max(1));
            }
            Effect::Append {
                key,
                line,
                most,
                lifetime,
            } => {
                out.text("t", "append")
                    .text("key", &key)
                    .text("line", &line)
                    .number("most", most as u64)
                    .number("ttl", lifetime.as_secs().max(1));
            }
            Effect::Wait { key, version, time } => {
                out.text("t", "wait")
                    .text("key", &key)
                    .optional_text("version", version.as_deref())
                    .number("ms", time.0);
            }
            Effect::Sleep {
                flight,
                time,
                started,
            } => {
                out.text("t", "sleep")
                    .optional_number("flight", flight.map(|flight| flight.0.into()))
                    .optional_number("started", started.map(|task| task.0 as u64))
                    .number("ms", time.0);
            }
            Effect::Send {
                request,
                authorization,
                proof,
                timeout,
            } => {
                out.text("t", "send")
                    .text("url", &request.url)
                    .optional_text("form", request.form.as_ref().map(Secret::expose))
                    .optional_text("authorization", authorization.as_ref().map(Secret::expose))
                    .optional_text("proof", proof.as_ref().map(Secret::expose))
                    .number("ms", timeout.0);
            }
            Effect::Await => {
                out.text("t", "await");
            }
            Effect::GenerateKey => {
                out.text("t", "generate_key");
            }
            Effect::Verify {
                algorithm,
                jwk,
                signing_input,
                signature,
            } => {
                self.bytes = signature;
                out.text("t", "verify")
                    .json("parameters", &algorithm.webcrypto_parameters())
                    .json("jwk", &jwk)
                    .text("input", &signing_input);
            }
            Effect::Sign {
                algorithm,
                jwk,
                signing_input,
            } => {
                out.text("t", "sign")
                    .json("parameters", &algorithm.webcrypto_parameters())
                    .json("jwk", jwk.expose())
                    .text("input", signing_input.expose());
            }
            Effect::Client => {
                out.text("t", "client");
            }
            Effect::Body(limit) => {
                out.text("t", "body").number("limit", limit as u64);
            }
            Effect::Forward(forward) => write_forward(out, &forward),
        }
    }
}

fn server_json(server: &ServerHealth) -> String {
    let mut out = Writer::object();
    out.flag("isDown", server.down_since.is_some());
    if let Some(since) = server.down_since {
        out.number("downSince", since);
    }
    if !server.last_failure.is_empty() {
        out.text("lastFailure", &server.last_failure);
    }
    out.finish()
}

fn write_forward(out: &mut Writer, forward: &Forward) {
    let reflection = match forward.reflection {
        Scope::All => "refuse",
        Scope::Headers => "headers",
        Scope::Nothing => "allow",
    };
    out.text("t", "forward")
        .text("url", &forward.url)
        .text("authorization", forward.authorization.expose())
        .optional_text("proof", forward.proof.as_ref().map(Secret::expose))
        .text("others", forward.others.expose())
        .text("reflection", reflection)
        .text("keep", &pattern(&forward.keep))
        .text("remove", &pattern(&forward.remove))
        .number("ms", forward.timeout.0)
        .flag("copy", forward.copies_body)
        .flag("upgrade", forward.is_upgrade)
        .text("id", &forward.request_id)
        .number("route", forward.route as u64);
}

fn write_response(out: &mut Writer, response: &Response) {
    match response {
        Response::Own(OwnResponse {
            status,
            headers,
            cookies,
            body,
            ..
        }) => {
            let headers = headers.iter().map(|(name, value)| (*name, value.as_str()));
            out.text("t", "respond")
                .number("status", (*status).into())
                .json("headers", &header_list(headers));
            write_cookies(out, cookies);
            if let Some((kind, body)) = body {
                out.text("type", kind).text("body", body);
            }
        }
        Response::Upstream {
            cookies,
            keeps_challenge,
        } => {
            out.text("t", "pass").flag("challenge", *keeps_challenge);
            write_cookies(out, cookies);
        }
        Response::Allowed(Allowed {
            authorization,
            cookie,
            identity,
        }) => {
            let credentials = [
                ("authorization", authorization.expose()),
                ("cookie", cookie.as_str()),
            ];
            let identity = identity
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()));
            let headers = header_list(credentials.into_iter().chain(identity));
            out.text("t", "respond")
                .number("status", 204)
                .json("headers", &headers);
            write_cookies(out, &[]);
        }
        Response::NotHandled => {
            out.text("t", "next");
        }
        Response::Managed(Ok(result)) => {
            out.text("t", "managed").json("result", result);
        }
        Response::Managed(Err(error)) => {
            out.text("t", "refused")
                .text("code", error.code().as_str())
                .text("message", error.message());
        }
    }
}

/// Returns headers as JSON.
fn header_list<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut list = "[".to_owned();
    for (name, value) in headers {
        if list.len() > 1 {
            list.push(',');
        }
        list.push_str(&json::string_array([name, value]));
    }
    list.push(']');
    list
}

fn write_cookies(out: &mut Writer, cookies: &[String]) {
    let cookies = json::string_array(cookies.iter().map(String::as_str));
    out.json("cookies", &cookies);
}

fn instant(monotonic: f64, wall: f64) -> Instant {
    Instant {
        monotonic: Millis(monotonic as u64),
        wall: wall as u64,
    }
}

/// The first lines of a request. The host gets this list and the next one from the build.
const REQUEST_PARTS: &str = "method url check bind description outer outerMode outerDest outerAccept outerAge hasBody headerCount headerBytes";

/// The headers that the handler reads, which are the other lines of a request. An absent header is an empty line.
/// Neither URLs nor headers contain line breaks.
const REQUEST_HEADERS: &str = "x-strongroom origin sec-fetch-site sec-fetch-mode sec-fetch-dest sec-fetch-user sec-purpose sec-secure-session-id secure-session-response secure-session-skipped accept upgrade content-length x-request-id traceparent x-strongroom-check sec-websocket-version cookie";

const PARTS: usize = strings::index_of(REQUEST_PARTS, "headerBytes") + 1;

/// Returns the line of a part. A name that is not in the list does not compile.
const fn part(name: &str) -> usize {
    strings::index_of(REQUEST_PARTS, name)
}

/// Returns the line of a header. A name that is not in the list does not compile.
const fn header(name: &str) -> usize {
    PARTS + strings::index_of(REQUEST_HEADERS, name)
}

fn read_request(text: &str) -> Request {
    let lines: Vec<&str> = strings::split(text, b'\n').collect();
    let text = |line: usize| {
        let text = lines.get(line).filter(|text| !text.is_empty());
        text.map(|text| (*text).to_owned())
    };
    Request {
        method: text(const { part("method") }).unwrap_or_default(),
        url: text(const { part("url") }).unwrap_or_default(),
        has_body: text(const { part("hasBody") }).is_some(),
        content_length: text(const { header("content-length") })
            .and_then(|length| json::parse_u64(&length)),
        header_count: number(text(const { part("headerCount") })),
        header_bytes: number(text(const { part("headerBytes") })),
        bind: text(const { part("bind") }),
        description: text(const { part("description") }),
        outer: text(const { part("outer") }).map(|method| Outer {
            method,
            mode: text(const { part("outerMode") }),
            dest: text(const { part("outerDest") }),
            accept: text(const { part("outerAccept") }),
            age: Millis(
                text(const { part("outerAge") })
                    .and_then(|age| json::parse_u64(&age))
                    .unwrap_or_default(),
            ),
        }),
        bound_session: text(const { header("sec-secure-session-id") }),
        bound_response: text(const { header("secure-session-response") }),
        bound_skipped: text(const { header("secure-session-skipped") }),
        marker: text(const { header(HANDLER_HEADER) }),
        origin: text(const { header("origin") }),
        site: text(const { header("sec-fetch-site") }),
        mode: text(const { header("sec-fetch-mode") }),
        dest: text(const { header("sec-fetch-dest") }),
        user: text(const { header("sec-fetch-user") }),
        purpose: text(const { header("sec-purpose") }),
        accept: text(const { header("accept") }),
        upgrade: text(const { header("upgrade") }),
        cookie: text(const { header("cookie") }),
        request_id: text(const { header("x-request-id") }),
        traceparent: text(const { header("traceparent") }),
        check: text(const { part("check") }).map(|path| Check {
            path: path.strip_prefix('/').unwrap_or_default().to_owned(),
            secret: text(const { header("x-strongroom-check") }),
            socket_version: text(const { header("sec-websocket-version") }),
        }),
    }
}

fn number(line: Option<String>) -> usize {
    let number = line.and_then(|line| json::parse_u64(&line));
    number
        .and_then(|number| number.try_into().ok())
        .unwrap_or(usize::MAX)
}

// The kinds of replies. pkg/src/edge/host.ts gets these numbers from the build: xtask/src/facts/constants.rs.
const FAILED: u32 = 0;
const OPENED: u32 = 1;
const SEALED: u32 = 2;
const SIGNED: u32 = 3;
const NOT_OPENED: u32 = 4;
const ENTRIES: u32 = 5;
const SWAPPED: u32 = 6;
const WAITED: u32 = 7;
const SENT: u32 = 8;
const VERIFIED: u32 = 9;
const BODY: u32 = 10;
const HEAD: u32 = 11;
const KEY: u32 = 12;
const PENDING: u32 = 13;
const NOTICED: u32 = 14;
const APPENDED: u32 = 15;
const CONNECTED: u32 = 16;

fn read_reply(kind: u32, text: &str) -> Option<Reply> {
    Some(match kind {
        NOT_OPENED => Reply::Opened(None),
        ENTRIES => read_reading(text)?,
        SWAPPED => Reply::Swapped((!text.is_empty()).then(|| text.to_owned())),
        APPENDED => Reply::Appended(!text.is_empty()),
        CONNECTED => Reply::Connected(!text.is_empty()),
        WAITED => Reply::Waited,
        NOTICED => Reply::Noticed,
        SENT => Reply::Sent(Outcome::from(read_sent(text)?)),
        VERIFIED => Reply::Verified(text == "1"),
        BODY => Reply::Body(Some(Secret::from(text))),
        HEAD => Reply::Head(read_head(text)?),
        KEY => Reply::Key(Secret::from(text)),
        PENDING => Reply::Pending,
        _ => return None,
    })
}

fn read_reading(text: &str) -> Option<Reply> {
    let value = Value::parse(text).ok()?;
    let reading = value.as_object()?;
    let mut entries = Vec::new();
    for entry in reading.get("entries")?.as_array()? {
        entries.push(match entry.as_object() {
            None => None,
            Some(entry) => Some(Entry {
                value: entry.str("value")?.to_owned(),
                version: entry.str("version")?.to_owned(),
            }),
        });
    }
    let time = reading.get("time").and_then(Value::as_u64);
    Some(Reply::Entries { entries, time })
}

/// Reads the provider's response: its head as one line of JSON, followed by the body.
fn read_sent(text: &str) -> Option<HttpReply> {
    let (head, body) = strings::split_once(text, b'\n');
    let value = Value::parse(head).ok()?;
    let head = value.as_object()?;
    Some(HttpReply {
        status: status(head)?,
        content_type: head.str("type").map(str::to_owned),
        retry_after: head.get("retryAfter").and_then(Value::as_u64).map(Millis),
        date: head.get("date").and_then(Value::as_u64),
        body: body.map(Secret::from),
        dpop_nonce: head.str("nonce").map(str::to_owned),
        location: head.str("location").map(str::to_owned),
    })
}

fn read_head(text: &str) -> Option<Head> {
    let value = Value::parse(text).ok()?;
    let head = value.as_object()?;
    Some(Head {
        status: status(head)?,
        challenge: head.str("challenge").map(str::to_owned),
        dpop_nonce: head.str("nonce").map(str::to_owned),
        location: head.str("location").map(str::to_owned),
        content_type: head.str("type").map(str::to_owned),
        undecoded: head.str("undecoded").map(str::to_owned),
        had_no_body: head.get("empty").is_some(),
    })
}

fn status(head: &Object) -> Option<u16> {
    head.get("status")?.as_u64()?.try_into().ok()
}

/// Searches an upstream's response for tokens: see [`rules::egress::token_reflection`].
#[wasm_bindgen]
pub struct Guard(rules::egress::token_reflection::Guard);

#[wasm_bindgen]
impl Guard {
    /// Creates a guard for the token in `authorization`, the value of an `Authorization` header, and for each line of
    /// `others`. Returns `None` if all tokens are too short to search for.
    #[must_use]
    pub fn for_authorization(authorization: &str, others: &str) -> Option<Self> {
        let (_, token) = strings::split_once(authorization, b' ');
        rules::egress::token_reflection::Guard::of_session(token?, others).map(Self)
    }

    /// Returns true if `text` contains a token.
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        self.0.is_in(text.as_bytes())
    }

    /// Returns the address to write the next chunk of the body to. The chunk has `length` bytes.
    pub fn take(&mut self, length: usize) -> *mut u8 {
        self.0.take(length).as_mut_ptr()
    }

    /// Returns how many of the received bytes that were not forwarded yet may now be forwarded, and drops these bytes.
    /// Returns -1 if the received bytes contain a token.
    pub fn take_free(&mut self) -> i32 {
        let Some(count) = self.0.free() else {
            return -1;
        };
        self.0.forget(count);
        count as i32
    }

    /// Returns how many of the received bytes that were not forwarded yet may be forwarded after a pause.
    #[must_use]
    pub fn free_after_pause(&self) -> usize {
        self.0.free_after_pause()
    }

    /// Notes that the received bytes have been forwarded after a pause. They are still searched.
    pub fn release(&mut self) {
        self.0.release();
    }
}
