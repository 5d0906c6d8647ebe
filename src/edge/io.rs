//! What a host puts in, and what it is asked to do.

use crate::prelude::*;
use core::fmt;

use crate::Secret;
use crate::base::clock::Millis;
use crate::base::error::Error;
use crate::base::http::{HttpRequest, Outcome};
use crate::egress::token_reflection::Scope;
use crate::oauth::jwks::Algorithm;
use crate::session::EndReason;

/// What is looked at of a browser's request. Header fields are as they came, several of one name joined by
/// commas as `Headers.get` does; `None` if there is none.
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
    /// `Accept`
    pub accept: Option<String>,
    /// `Upgrade`
    pub upgrade: Option<String>,
    /// `X-Strongroom`: the header that no form and no other site's script can send.
    pub marker: Option<String>,
    /// How many header fields there are, besides `Cookie`.
    pub header_count: usize,
    /// The bytes of their names and values together.
    pub header_bytes: usize,
    /// Whether there is a body, which can be sent on once.
    pub has_body: bool,
}

/// Longest time for which a host waits for the provider before it lets the task do something else, such as renewing
/// its lease. The same as `BEAT` in pkg/src/edge/host.ts.
pub const BEAT: Millis = Millis::from_secs(2);

/// What comes next for a request.
#[derive(Debug)]
pub enum Step {
    /// The host does this, and comes back with the [`Reply`].
    Do(Effect),
    /// The request is answered.
    Done(Response),
}

/// Something for the host to do.
pub enum Effect {
    /// Opens what was sealed: AES-256-GCM with the 96-bit nonce in front and the tag behind. [`Reply::Opened`].
    Open {
        /// Which key of the ring.
        key: usize,
        /// Nonce, ciphertext and tag.
        sealed: Vec<u8>,
        /// Additional authenticated data.
        bound_to: String,
    },
    /// Seals: the same the other way, with the first key of the ring. [`Reply::Sealed`].
    Seal {
        /// The nonce to put in front.
        nonce: [u8; 12],
        /// What to seal.
        plain: Secret,
        /// Additional authenticated data.
        bound_to: String,
    },
    /// Asks the coordinator for the values of these keys. [`Reply::Entries`].
    Read(Vec<String>),
    /// Asks the coordinator to write, if the key's version is still this one. [`Reply::Swapped`].
    Swap {
        /// The key.
        key: String,
        /// The version that must be there; `None`: there must be no value.
        version: Option<String>,
        /// The value to write.
        value: String,
        /// For how long it is kept.
        lifetime: Millis,
    },
    /// Waits until the key's version is another one, or this time has passed, or less. [`Reply::Waited`].
    Wait {
        /// The key.
        key: String,
        /// The version that is known.
        version: Option<String>,
        /// For how long at most.
        time: Millis,
    },
    /// Waits until a flight has landed ([`Event::RefreshFinished`]), or this time has passed. [`Reply::Waited`].
    Linger {
        /// Which flight; `None`: only the time counts.
        flight: Option<FlightId>,
        /// For how long at most.
        time: Millis,
    },
    /// Sends a request to the provider, without following redirects. [`Reply::Sent`], or [`Reply::Pending`] after each
    /// [`BEAT`] without a response.
    Send {
        /// The request.
        request: HttpRequest,
        /// `Authorization`, if the client authenticates by it.
        authorization: Option<Secret>,
        /// `DPoP` (RFC 9449 5), signed; what [`HttpRequest`] has of one is for the browser's vault.
        proof: Option<Secret>,
        /// After how long to give up.
        timeout: Millis,
    },
    /// Goes on waiting for the response to the request that this task sent last. Replies as [`Effect::Send`] does.
    Await,
    /// Verifies a signature. [`Reply::Verified`].
    Verify {
        /// The algorithm.
        algorithm: Algorithm,
        /// The public key, a JWK.
        jwk: String,
        /// What was signed.
        signing_input: String,
        /// The signature.
        signature: Vec<u8>,
    },
    /// Signs with a private key, a JWK. [`Reply::Signed`].
    Sign {
        /// The algorithm.
        algorithm: Algorithm,
        /// The private key, a JWK.
        jwk: Secret,
        /// What to sign.
        signing_input: Secret,
    },
    /// Makes a key pair for ES256 (RFC 7518 3.4), whose private half can be exported. [`Reply::Key`].
    GenerateKey,
    /// Reads the request's body, which must be text of at most so many bytes. [`Reply::Body`].
    Body(usize),
    /// Sends the request on to an upstream. [`Reply::Head`].
    Forward(Forward),
}

/// A request that is sent on: with the browser's method, body and header fields, save those that the
/// [policy](crate::edge::policy) takes out.
#[derive(Debug)]
pub struct Forward {
    /// Where to, serialised by the parser that checked it.
    pub url: String,
    /// `Authorization`
    pub authorization: Secret,
    /// `DPoP`
    pub proof: Option<Secret>,
    /// How much of the answer is searched for the token.
    pub reflection: Scope,
    /// Names of headers that are sent although the policy removes them, with spaces between them.
    pub keep: String,
    /// Names of more headers that are removed.
    pub remove: String,
    /// Whether it is the handshake of a WebSocket (RFC 6455 4.1), whose connection is then passed on.
    pub is_upgrade: bool,
}

/// An upstream's answer, before its body.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// The status.
    pub status: u16,
    /// `WWW-Authenticate`
    pub challenge: Option<String>,
    /// `DPoP-Nonce`
    pub dpop_nonce: Option<String>,
}

/// What came of an effect.
#[derive(Debug)]
pub enum Reply {
    /// Of [`Effect::Open`]: the text, or `None` if it is not genuine.
    Opened(Option<Secret>),
    /// Of [`Effect::Seal`]: nonce, ciphertext and tag.
    Sealed(Vec<u8>),
    /// Of [`Effect::Read`]: one for each key.
    Entries(Vec<Option<Entry>>),
    /// Of [`Effect::Swap`]: the new version, or `None` if another one was there.
    Swapped(Option<String>),
    /// Of [`Effect::Wait`] and [`Effect::Linger`].
    Waited,
    /// Of [`Effect::Send`].
    Sent(Outcome),
    /// Of [`Effect::Send`]: the request is still in flight. The task asks for its response by [`Effect::Await`].
    Pending,
    /// Of [`Effect::Verify`].
    Verified(bool),
    /// Of [`Effect::Sign`].
    Signed(Vec<u8>),
    /// Of [`Effect::GenerateKey`]: the private key, a JWK.
    Key(Secret),
    /// Of [`Effect::Body`]; `None` if there was more than asked for, or no text.
    Body(Option<Secret>),
    /// Of [`Effect::Forward`].
    Head(Head),
    /// Of any of them: it could not be done. Of one that was sent, it may have been.
    Failed,
}

/// What a coordinator has under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What was written.
    pub value: String,
    /// Another one after each write.
    pub version: String,
}

/// How a request is answered.
#[derive(Debug)]
pub enum Response {
    /// By the handler itself.
    Own(OwnResponse),
    /// With the upstream's answer, which was the last [`Reply::Head`].
    Upstream {
        /// `Set-Cookie` header fields.
        cookies: Vec<String>,
    },
    /// It is none of the handler's: the app's own handler has it, if there is one.
    NotHandled,
}

/// An answer of the handler's own. Nothing of it may be stored: the host adds what the [policy](crate::edge::policy) has for
/// such answers.
#[derive(Clone, Debug, Default)]
pub struct OwnResponse {
    /// The status.
    pub status: u16,
    /// Header fields besides.
    pub headers: Vec<(&'static str, String)>,
    /// `Set-Cookie` header fields.
    pub cookies: Vec<String>,
    /// The body, with its `Content-Type`.
    pub body: Option<(&'static str, String)>,
}

/// The number of a refresh that is under way in this isolate.
pub type FlightId = u32;

/// Something that is told besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Something went wrong that an operator should know of. No secret, and nothing of a user, is in it.
    Fault(Error),
    /// A session ended.
    Ended {
        /// Why.
        reason: EndReason,
        /// The `sub` of its user, for the operator's hook and no log.
        subject: String,
    },
    /// A flight has landed: who lingers for it goes on.
    RefreshFinished(FlightId),
}

/// What there is to it, without what it holds.
impl fmt::Debug for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open { .. } => "Open",
            Self::Seal { .. } => "Seal",
            Self::Read(_) => "Read",
            Self::Swap { .. } => "Swap",
            Self::Wait { .. } => "Wait",
            Self::Linger { .. } => "Linger",
            Self::Send { .. } => "Send",
            Self::Await => "Await",
            Self::Verify { .. } => "Verify",
            Self::Sign { .. } => "Sign",
            Self::GenerateKey => "GenerateKey",
            Self::Body(_) => "Body",
            Self::Forward(_) => "Forward",
        })
    }
}
