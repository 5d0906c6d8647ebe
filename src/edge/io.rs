//! The interface to the host: requests, effects, replies and events.

use alloc::rc::Rc;
use core::fmt;
use rules::prelude::*;

use rules::Secret;
use rules::base::clock::{Millis, UnixMillis};
use rules::base::error::{Code, Result};
use rules::base::http::{HttpRequest, Outcome};
use rules::egress::token_reflection::Scope;
use rules::oauth::jwks::Algorithm;

/// The parts of a browser's request that the handler reads. Several headers of one name are joined by commas, as
/// `Headers.get` does. `None` stands for a missing header.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The absolute URL, with the origin that the browser sees.
    pub url: String,
    /// `Cookie`
    pub cookie: Option<String>,
    /// `Origin`
    pub origin: Option<String>,
    /// `Sec-Fetch-Site`
    pub site: Option<String>,
    /// `Sec-Fetch-Mode`
    pub mode: Option<String>,
    /// `Sec-Fetch-Dest`
    pub dest: Option<String>,
    /// `Sec-Fetch-User`
    pub user: Option<String>,
    /// `Sec-Purpose`
    pub purpose: Option<String>,
    /// `Accept`
    pub accept: Option<String>,
    /// `Upgrade`
    pub upgrade: Option<String>,
    /// `Sec-Secure-Session-Id`: the browser renews the bound cookie of this session.
    pub bound_session: Option<String>,
    /// `Secure-Session-Response`: the signed challenge.
    pub bound_response: Option<String>,
    /// `Secure-Session-Skipped`: the browser could not renew the bound cookie.
    pub bound_skipped: Option<String>,
    /// The value of the option `session.bind` for this request, if the option is a function.
    pub bind: Option<String>,
    /// The description of the browser that the app's server gives at a callback, as a string in JSON.
    pub description: Option<String>,
    /// `X-Strongroom`: the header that no form and no other site's script can send.
    pub marker: Option<String>,
    /// The page's request that the app's server handles, if that server sends this request for it. If this request changes
    /// something, `origin` and `site` are those of the page's request.
    pub outer: Option<Outer>,
    /// The number of headers, without `Cookie`.
    pub header_count: usize,
    /// The length of the names and values of these headers in bytes.
    pub header_bytes: usize,
    /// True if there is a body, which can be sent only once unless the host [copies](Forward::copies_body) it.
    pub has_body: bool,
    /// `Content-Length`
    pub content_length: Option<u64>,
    /// `X-Request-Id`, which is the ID of the request if it is well-formed.
    pub request_id: Option<String>,
    /// `traceparent`, whose trace ID is the ID of the request if there is no other.
    pub traceparent: Option<String>,
    /// The check that a reverse proxy has sent, if this is one. The method and the URL are then those of the request about
    /// which it asks, and the URL is as the proxy has received it, not normalized.
    pub check: Option<Check>,
}

/// The question of a reverse proxy about a request that it has received.
#[derive(Clone, Debug, Default)]
pub struct Check {
    /// The path of the check without its first slash: `<guard>`, or `<guard>/nginx`.
    pub path: String,
    /// `X-Strongroom-Check`: the secret of the guard.
    pub secret: Option<String>,
    /// `Sec-WebSocket-Version`. If it is present, the request is the handshake of a WebSocket.
    pub socket_version: Option<String>,
}

/// The page's request for which the app's server sends a request.
#[derive(Clone, Debug, Default)]
pub struct Outer {
    /// The method.
    pub method: String,
    /// `Sec-Fetch-Mode`
    pub mode: Option<String>,
    /// `Sec-Fetch-Dest`
    pub dest: Option<String>,
    /// `Accept`
    pub accept: Option<String>,
    /// The time since the page's request arrived.
    pub age: Millis,
}

/// Longest time for which a host waits for the provider before the host lets the task do something else, such as
/// renewing the lease of a refresh.
pub const BEAT: Millis = Millis::from_secs(2);

/// Length of a nonce of AES-GCM in bytes.
pub(super) const NONCE_LEN: usize = 12;

/// The next step of a request.
#[derive(Debug)]
pub enum Step {
    /// The host carries out this effect, and passes the [`Reply`] to [`Handler::resume`](crate::Handler::resume).
    Do(Effect),
    /// The response is ready.
    Done(Response),
}

/// An effect that the host carries out.
pub enum Effect {
    /// Opens a sealed value: AES-256-GCM with the 96-bit nonce first and the tag last. The reply is [`Reply::Opened`].
    Open {
        /// The index of the key in the keyring.
        key: usize,
        /// Nonce, ciphertext and tag.
        sealed: Vec<u8>,
        /// Additional authenticated data.
        aad: String,
    },
    /// Seals a value with the first key of the keyring, in the format of [`Effect::Open`]. The reply is
    /// [`Reply::Sealed`].
    Seal {
        /// The nonce.
        nonce: [u8; NONCE_LEN],
        /// The plaintext.
        plain: Secret,
        /// Additional authenticated data.
        aad: String,
    },
    /// Reads the values of these keys from the coordinator. The reply is [`Reply::Entries`].
    Read(Vec<String>),
    /// Writes a value to the coordinator if the key still has this version. The reply is [`Reply::Swapped`].
    Swap {
        /// The key.
        key: String,
        /// The expected version. `None`: the key must not have a value.
        version: Option<String>,
        /// The value to write.
        value: String,
        /// The lifetime of the value.
        lifetime: Millis,
    },
    /// Adds a line to the value of a key, whose lines are separated by line breaks, in one step. The reply is
    /// [`Reply::Appended`].
    Append {
        /// The key.
        key: String,
        /// The line.
        line: String,
        /// The number of last lines that stay.
        most: usize,
        /// The lifetime of the value.
        lifetime: Millis,
    },
    /// Waits until the key has another version or the time has passed. The coordinator may end the wait earlier. The reply
    /// is [`Reply::Waited`] or [`Reply::Noticed`].
    Wait {
        /// The key.
        key: String,
        /// The version that the task knows. `None`: the key had no value.
        version: Option<String>,
        /// The longest time to wait.
        time: Millis,
    },
    /// Waits until a flight has finished ([`Event::FlightFinished`](crate::Event::FlightFinished)) or the time has passed. The reply is
    /// [`Reply::Waited`] or [`Reply::Noticed`]. The wait begins with the step: another task may finish the flight at any later time.
    Sleep {
        /// The flight. `None`: only the time counts.
        flight: Option<FlightId>,
        /// The longest time to wait.
        time: Millis,
        /// A task that the host runs at the same time, even if the client of this task disconnects. The host
        /// [resumes](crate::Handler::resume) that task with [`Reply::Waited`], carries out its effects until
        /// [`Step::Done`], and drops its response.
        started: Option<TaskId>,
    },
    /// Sends a request to the provider, without following redirects. The reply is [`Reply::Sent`], or
    /// [`Reply::Pending`] after each [`BEAT`] without a response.
    Send {
        /// The request.
        request: HttpRequest,
        /// The `Authorization` header, if the client authenticates with this header.
        authorization: Option<Secret>,
        /// The signed proof for the `DPoP` header (RFC 9449 5). Only the vault in a browser uses the unsigned proof in
        /// [`HttpRequest`].
        proof: Option<Secret>,
        /// The timeout.
        timeout: Millis,
    },
    /// Continues to wait for the response to this task's last request. The reply is [`Reply::Sent`] or
    /// [`Reply::Pending`].
    Await,
    /// Verifies a signature. The reply is [`Reply::Verified`].
    Verify {
        /// The algorithm.
        algorithm: Algorithm,
        /// The public key, a JWK.
        jwk: String,
        /// The signed input.
        signing_input: String,
        /// The signature.
        signature: Vec<u8>,
    },
    /// Signs with a private key. The reply is [`Reply::Signed`].
    Sign {
        /// The algorithm.
        algorithm: Algorithm,
        /// The private key, a JWK.
        jwk: Secret,
        /// The input to sign.
        signing_input: Secret,
    },
    /// Generates an ES256 key pair (RFC 7518 3.4) with an exportable private key. The reply is [`Reply::Key`].
    GenerateKey,
    /// Asks if the client of the request is still connected, once the host has handled the input that has arrived. The reply
    /// is [`Reply::Connected`].
    Client,
    /// Reads the request's body: UTF-8 of at most this many bytes. The reply is [`Reply::Body`].
    Body(usize),
    /// Forwards the request to an upstream. The reply is [`Reply::Head`].
    Forward(Forward),
}

/// A forwarded request. The host adds the method and the body of the browser's request, and the headers that the
/// [policy](crate::policy) does not remove.
#[derive(Debug)]
pub struct Forward {
    /// The URL, serialized by the parser that checked it.
    pub url: String,
    /// `Authorization`
    pub authorization: Secret,
    /// `DPoP`
    pub proof: Option<Secret>,
    /// The session's other access tokens that may still be valid, one per line.
    pub others: Secret,
    /// The part of the response that is searched for these tokens.
    pub reflection: Scope,
    /// Names of headers that are sent although the policy removes them, separated by spaces.
    pub keep: String,
    /// Names of additional headers to remove, separated by spaces.
    pub remove: String,
    /// The longest time until the response's head. The host does not apply this limit to a long body of the browser's
    /// request, which takes its time, and to the response's body.
    pub timeout: Millis,
    /// True if the host reads the whole body of the browser's request and keeps it, because the request may be sent again.
    pub copies_body: bool,
    /// True for the handshake of a WebSocket (RFC 6455 4.1). The host then passes the connection on to the client.
    pub is_upgrade: bool,
    /// `X-Request-Id`, which replaces the browser's: see [`Request::request_id`].
    pub request_id: Rc<str>,
    /// The index of the route, for [`Broken`].
    pub route: usize,
}

/// An upstream's response that could not be passed on after its head.
#[derive(Debug)]
pub struct Broken<'a> {
    /// The index of the route.
    pub route: usize,
    /// The ID of the request.
    pub request_id: &'a str,
    /// `token_reflected`, `handler_crashed` if the host is at fault, or `upstream_unavailable`.
    pub code: Code,
    /// The host's description of the failure: one line, without a token.
    pub cause: &'a str,
}

/// The head of an upstream's response.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// The status.
    pub status: u16,
    /// `WWW-Authenticate`
    pub challenge: Option<String>,
    /// `DPoP-Nonce`
    pub dpop_nonce: Option<String>,
    /// `Location`
    pub location: Option<String>,
    /// `Content-Type`
    pub content_type: Option<String>,
    /// `Content-Encoding` of a body that cannot be searched, because the host does not decode it.
    pub undecoded: Option<String>,
    /// True if only reading could tell whether the request has a body, and it has none.
    pub had_no_body: bool,
}

/// The result of an effect.
#[derive(Debug)]
pub enum Reply {
    /// Result of [`Effect::Open`]: the plaintext, or `None` if the value is not authentic.
    Opened(Option<Secret>),
    /// Result of [`Effect::Seal`]: nonce, ciphertext and tag.
    Sealed(Vec<u8>),
    /// Result of [`Effect::Read`].
    Entries {
        /// One entry per key.
        entries: Vec<Option<Entry>>,
        /// The coordinator's time at the read, if the coordinator has a clock.
        time: Option<UnixMillis>,
    },
    /// Result of [`Effect::Swap`]: the new version, or `None` if the key had another version.
    Swapped(Option<String>),
    /// Result of [`Effect::Append`]: false if the coordinator has no such operation.
    Appended(bool),
    /// Result of [`Effect::Wait`] and [`Effect::Sleep`]: the host's timer says that the time has passed.
    Waited,
    /// Result of [`Effect::Wait`] and [`Effect::Sleep`]: the coordinator or a flight ended the wait earlier.
    Noticed,
    /// Result of [`Effect::Send`] and [`Effect::Await`].
    Sent(Outcome),
    /// Result of [`Effect::Send`] and [`Effect::Await`] while no response has arrived. The task continues to wait with
    /// [`Effect::Await`].
    Pending,
    /// Result of [`Effect::Verify`].
    Verified(bool),
    /// Result of [`Effect::Sign`].
    Signed(Vec<u8>),
    /// Result of [`Effect::GenerateKey`]: the private key, a JWK.
    Key(Secret),
    /// Result of [`Effect::Client`]. True also if the host cannot know it.
    Connected(bool),
    /// Result of [`Effect::Body`]: the body, or `None` if the body is too long or not UTF-8.
    Body(Option<Secret>),
    /// Result of [`Effect::Forward`].
    Head(Head),
    /// Result of any effect that failed, with the host's name of the cause, such as `ECONNREFUSED`, or an empty string. An
    /// error without a name has its message as a second line, which is only for the log. A request may still have been sent.
    Failed(String),
}

/// A coordinator's entry for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The value.
    pub value: String,
    /// The version. Each write changes the version.
    pub version: String,
}

/// The response to a request.
#[derive(Debug)]
pub enum Response {
    /// A response of the handler itself.
    Own(OwnResponse),
    /// The upstream's response, whose head was the last [`Reply::Head`].
    Upstream {
        /// `Set-Cookie` headers.
        cookies: Vec<String>,
        /// True if the response's `WWW-Authenticate` is forwarded. Otherwise the host removes this header.
        keeps_challenge: bool,
    },
    /// The response to a check: the proxy may pass the request on, with these headers.
    Allowed(Allowed),
    /// The URL is not one of the handler's paths. The app's own handler responds, if there is one.
    NotHandled,
    /// The result of [`Handler::manage`](crate::Handler::manage), as JSON.
    Managed(Result<String>),
}

impl Response {
    /// Adds a `Set-Cookie` header.
    pub(super) fn set_cookie(&mut self, cookie: String) {
        match self {
            Self::Own(OwnResponse { cookies, .. }) | Self::Upstream { cookies, .. } => {
                cookies.push(cookie);
            }
            Self::Allowed(_) | Self::NotHandled | Self::Managed(_) => {}
        }
    }
}

/// The headers with which a proxy passes a request on.
#[derive(Debug)]
pub struct Allowed {
    /// `Authorization`, with the access token.
    pub authorization: Secret,
    /// `Cookie` without the handler's own cookies. The site would otherwise hold its users' sessions.
    pub cookie: String,
    /// The headers about the user. A missing claim is an empty string, so that it replaces what a client sends.
    pub identity: Vec<(String, String)>,
}

/// A response of the handler itself. Caches must not store the response, so the host adds the headers that the
/// [policy](crate::policy) has for the handler's responses.
#[derive(Clone, Debug, Default)]
pub struct OwnResponse {
    /// The status.
    pub status: u16,
    /// Additional headers.
    pub headers: Vec<(&'static str, String)>,
    /// `Set-Cookie` headers.
    pub cookies: Vec<String>,
    /// The body, with its `Content-Type`.
    pub body: Option<(&'static str, String)>,
    /// The code of the error, if the response is one.
    pub code: Option<Code>,
}

/// The number of a task in its isolate: the handler's `count` times `MOST_TASKS`, plus the task's slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub usize);

/// Largest number of tasks at a time.
pub(super) const MOST_TASKS: usize = 1 << 14;

impl TaskId {
    /// A number that no task has.
    pub(super) const NONE: Self = Self(u32::MAX as usize);

    pub(super) const fn new(count: usize, slot: usize) -> Self {
        Self(count * MOST_TASKS + slot)
    }

    pub(super) const fn slot(self) -> usize {
        self.0 % MOST_TASKS
    }
}

/// The number of a flight in this isolate: a refresh or a read in flight, for which other tasks wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlightId(pub u32);

impl FlightId {
    /// Returns the next number. After the largest number, numbers start again at the smallest.
    pub(crate) const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// Prints the variant's name without its contents.
impl fmt::Debug for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open { .. } => "Open",
            Self::Seal { .. } => "Seal",
            Self::Read(_) => "Read",
            Self::Swap { .. } => "Swap",
            Self::Append { .. } => "Append",
            Self::Wait { .. } => "Wait",
            Self::Sleep { .. } => "Sleep",
            Self::Send { .. } => "Send",
            Self::Await => "Await",
            Self::Verify { .. } => "Verify",
            Self::Sign { .. } => "Sign",
            Self::GenerateKey => "GenerateKey",
            Self::Client => "Client",
            Self::Body(_) => "Body",
            Self::Forward(_) => "Forward",
        })
    }
}
