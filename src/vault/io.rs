//! Inputs and outputs of the vault.

use crate::prelude::*;
use core::fmt;

use crate::Secret;
use crate::base::clock::UnixMillis;
use crate::base::http::{HttpRequest, Outcome};
use crate::egress::policy::Allowed;
#[cfg(feature = "extended")]
use crate::egress::websocket::Handshake;
#[cfg(feature = "extended")]
use crate::oauth::dpop::{PublicKey, UnsignedProof};
use crate::oauth::jwks::Algorithm;

/// A page's connection, numbered by the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortId(pub u32);

/// A page's message and, if it is a request for an API, that request; numbered by the host and
/// never used twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u32);

/// An operation that the host performs and reports on; numbered by the vault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u32);

/// A page's own number for its request. Other pages may use the same number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

impl PortId {
    /// Returns the next number.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl CallId {
    /// Returns the next number.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl OpId {
    /// Returns the next number.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Tells if the body of a request can be sent a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// The request has no body, or its body can be read again.
    Replayable,
    /// A stream: gone once sent.
    OneShot,
}

/// The head of an API's response.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// The status code; 0 for a redirect that was not followed.
    pub status: u16,
    /// The reason phrase.
    pub status_text: String,
    /// The URL of the response, without fragment.
    pub url: String,
    /// True if that is another URL than the one requested.
    pub redirected: bool,
    /// True if a body follows.
    pub has_body: bool,
    /// `WWW-Authenticate`, if the API exposes it.
    pub www_authenticate: Option<String>,
    /// `DPoP-Nonce` (RFC 9449 8), if the API exposes it.
    #[cfg(feature = "extended")]
    pub dpop_nonce: Option<String>,
}

/// The result of taking a stored login out of the store.
#[derive(Clone, Debug)]
pub enum Taken {
    /// The login, which is no longer in the store.
    Found(Secret),
    /// The stored login was already taken out.
    Used,
    /// The store has no login of that name.
    Absent,
    /// The store does not work.
    Unavailable,
}

/// The result of reading the store.
#[derive(Clone, Debug)]
pub enum Loaded {
    /// The state that was persisted last.
    Found(Secret),
    /// Nothing ever was, or it was cleared.
    Nothing,
    /// Something that does not open.
    Damaged,
    /// The store does not work.
    Unavailable,
}

/// An event in another vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// A user signed out, and no store has the end of the session.
    SignedOut,
    /// A user signed out, and the store that vaults share has the end of the session, or will have it soon. If it
    /// cannot be written, [`News::NotStored`] follows.
    SignedOutInStore,
    /// A user signed in.
    SignedIn,
    /// The store may never have the sign-out that was announced at [`Hint::time`].
    NotStored,
}

/// A hint between vaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint {
    /// The event.
    pub news: News,
    /// The build of the vault in which it happened: [`Config::build`](crate::config::Config::build).
    pub build: u16,
    /// The time of the sign-out; for [`News::SignedIn`], the time at which the newest page of that vault was loaded.
    pub time: UnixMillis,
}

/// The unit of time in a posted hint, in milliseconds. Of the number's 53 bits, 35 are for the time, which is enough until
/// the year 2106.
pub(super) const TIME_UNIT: u64 = 125;

impl Hint {
    /// Returns the hint as the number that is posted: two bits of news, sixteen of the build, and a time in eighths of
    /// a second.
    #[must_use]
    pub fn to_number(self) -> f64 {
        let news = match self.news {
            News::NotStored => 0,
            News::SignedOut => 1,
            News::SignedOutInStore => 2,
            News::SignedIn => 3,
        };
        (news | (u64::from(self.build) << 2) | ((self.time / TIME_UNIT) << 18)) as f64
    }

    /// Parses a posted number. Returns `None` if the number is not a hint.
    #[must_use]
    pub const fn from_number(number: f64) -> Option<Self> {
        // NaN and negative numbers become 0.
        let number = number as u64;
        let news = match number & 3 {
            1 => News::SignedOut,
            2 => News::SignedOutInStore,
            3 => News::SignedIn,
            _ if number >> 18 > 0 => News::NotStored,
            _ => return None,
        };
        Some(Self {
            news,
            build: (number >> 2) as u16,
            time: (number >> 18) * TIME_UNIT,
        })
    }
}

/// An event that the host reports. `Debug` prints only the variant's name: a message may contain an authorization code.
#[derive(Clone)]
pub enum Input<'a> {
    /// A page sent `text`; `call` is a new number, and names the body that came with it.
    Message {
        /// The page.
        port: PortId,
        /// The message's number.
        call: CallId,
        /// JSON: a `PageMessage` of `pkg/src/protocol/messages.ts`.
        text: &'a str,
        /// The body that came with the message.
        body: Body,
    },
    /// A page is gone.
    Disconnected {
        /// The page.
        port: PortId,
    },
    /// The end of [`Output::Send`].
    Responded {
        /// The operation.
        op: OpId,
        /// The outcome of the request.
        outcome: Outcome,
    },
    /// The end of [`Output::Store`] or [`Output::Persist`].
    Stored {
        /// The operation.
        op: OpId,
        /// True if it is stored.
        ok: bool,
    },
    /// The end of [`Output::Take`].
    Taken {
        /// The operation.
        op: OpId,
        /// The content that the read found.
        taken: Taken,
    },
    /// The end of [`Output::Verify`].
    Verified {
        /// The operation.
        op: OpId,
        /// True if the signature is valid for that key.
        valid: bool,
    },
    /// The end of [`Output::Load`].
    Loaded {
        /// The operation.
        op: OpId,
        /// The content that the read found.
        loaded: Loaded,
    },
    /// The lock of [`Output::Lock`] was granted.
    Locked {
        /// The operation.
        op: OpId,
    },
    /// Another vault over the same store has changed the store.
    Changed,
    /// Another vault of this issuer and client has carried out [`Output::Hint`], or a script has posted this.
    Hinted(Hint),
    /// The response to [`Output::Call`]; the host keeps the body until [`Output::Deliver`] or [`Output::Drop`].
    CallResponded {
        /// The call.
        call: CallId,
        /// The head of the response.
        head: ResponseHead,
    },
    /// An [`Output::Call`] failed with a network error.
    CallFailed {
        /// The call.
        call: CallId,
    },
    /// The response to [`Output::Call`] contains the token: [`crate::egress::token_reflection`].
    CallReflected {
        /// The call.
        call: CallId,
    },
    /// The body of a delivered call is complete, or the page does not read the rest.
    CallClosed {
        /// The call.
        call: CallId,
    },
    /// The key that [`Output::MakeKey`] requested, or its failure.
    #[cfg(feature = "extended")]
    KeyMade {
        /// The operation.
        op: OpId,
        /// The public half; `None` if the platform makes no such keys.
        key: Option<PublicKey>,
    },
    /// [`Output::Call`] was not sent: the key that its proof is to be signed with is gone.
    #[cfg(feature = "extended")]
    CallUnsigned {
        /// The call.
        call: CallId,
    },
    /// The end of [`Output::ProbeSocket`].
    #[cfg(feature = "extended")]
    SocketProbed {
        /// The call that the probe was for.
        call: CallId,
        /// True if the worker's policy blocked the probe, or reported it.
        is_blocked: bool,
    },
    /// The socket of [`Output::OpenSocket`] is open.
    #[cfg(feature = "extended")]
    SocketOpened {
        /// The call.
        call: CallId,
        /// The sub-protocol that the server chose, or nothing.
        protocol: String,
    },
    /// A timer fired. Early or late does not matter.
    Tick,
    /// The device woke up, came online, or a page became visible.
    Woke,
}

/// A task for the host. `Debug` prints only the variant's name: an address may contain a `state`.
pub enum Output {
    /// Post this to a page.
    Post {
        /// The page.
        port: PortId,
        /// JSON: a `VaultMessage` of `pkg/src/protocol/messages.ts`.
        text: String,
    },
    /// Forget a page: it has gone.
    Close {
        /// The page.
        port: PortId,
    },
    /// Send a request to the provider and report [`Input::Responded`].
    Send {
        /// The request's number.
        op: OpId,
        /// The request.
        request: HttpRequest,
    },
    /// Give up a request to the provider; its end need not be reported.
    Cancel {
        /// The operation.
        op: OpId,
    },
    /// Make a key pair for ES256 that is not extractable, keep the private half under its thumbprint, and report
    /// [`Input::KeyMade`].
    #[cfg(feature = "extended")]
    MakeKey {
        /// The operation's number.
        op: OpId,
    },
    /// Forget all keys but those with these thumbprints.
    #[cfg(feature = "extended")]
    KeepKeys {
        /// The thumbprints.
        names: Vec<String>,
    },
    /// Seal and store a pending login, and report [`Input::Stored`].
    Store {
        /// The operation's number.
        op: OpId,
        /// The name of the login.
        key: String,
        /// The pending login.
        value: Secret,
        /// The time after which it may be deleted.
        expires_at: UnixMillis,
        /// The key to store along with it, and to have again when it is taken out, by its thumbprint.
        #[cfg(feature = "extended")]
        key_pair: Option<String>,
    },
    /// Take a pending login out of the store, for good, and report [`Input::Taken`].
    Take {
        /// The operation's number.
        op: OpId,
        /// Its name.
        key: String,
    },
    /// Verify a signature and report [`Input::Verified`].
    Verify {
        /// The operation's number.
        op: OpId,
        /// The algorithm of the signature.
        algorithm: Algorithm,
        /// The public key: JSON (RFC 7517).
        jwk: String,
        /// The signed bytes.
        signing_input: Secret,
        /// The signature.
        signature: Vec<u8>,
    },
    /// Persist the tokens that are about to be adopted, and report [`Input::Stored`]. New tokens are not used before
    /// that.
    Persist {
        /// The operation's number.
        op: OpId,
        /// The state to seal and store, in the place of what was stored before; `None` if sessions are not
        /// kept, and the host need only report.
        state: Option<Secret>,
        /// The time after which it may be deleted.
        expires_at: UnixMillis,
        /// The key to store along with it, and to have again when it is loaded, by its thumbprint.
        #[cfg(feature = "extended")]
        key_pair: Option<String>,
    },
    /// Read what was persisted last, and report [`Input::Loaded`].
    Load {
        /// The operation's number.
        op: OpId,
    },
    /// Wait for the lock that all vaults over this store share, and report [`Input::Locked`].
    Lock {
        /// The operation's number. [`Output::Cancel`] gives the wait up.
        op: OpId,
    },
    /// Give the lock back.
    Unlock,
    /// Tell the other vaults over this store that it has changed: [`Input::Changed`].
    Announce,
    /// Post this to all other vaults on the channel of this name: [`hints_channel`](crate::vault::hints_channel). They get
    /// [`Input::Hinted`].
    Hint(Hint),
    /// End this vault for good, and its worker with it: refuse its pages with `vault_outdated`.
    Stop,
    /// Give the key that seals sessions to the service worker again, which holds the key in escrow. The outcome need
    /// not be reported.
    HandKeyOver,
    /// Send a page's request to an API with the access token, and report [`Input::CallResponded`] or
    /// [`Input::CallFailed`]. The same call may be sent again; the host keeps its body.
    Call {
        /// The call.
        call: CallId,
        /// The page.
        port: PortId,
        /// The page's own number for it, which names the parts of the response's body.
        id: RequestId,
        /// The request.
        request: Box<ApiRequest>,
    },
    /// Find out whether the worker's Content-Security-Policy blocks or reports sockets to this address, by a
    /// connection that carries no token, and report [`Input::SocketProbed`]. Whether the server accepts that
    /// connection does not matter.
    #[cfg(feature = "extended")]
    ProbeSocket {
        /// The call.
        call: CallId,
        /// The address, without query.
        url: String,
    },
    /// Open a socket, and report [`Input::SocketOpened`] or [`Input::CallClosed`]. What came with the message is
    /// the port by which the page sends and receives, and is told how the socket was closed; nothing goes through
    /// before [`Output::Deliver`].
    #[cfg(feature = "extended")]
    OpenSocket {
        /// The call.
        call: CallId,
        /// The handshake.
        handshake: Box<Handshake>,
    },
    /// Send this by a socket, before all that the page sends.
    #[cfg(feature = "extended")]
    SendFirst {
        /// The call.
        call: CallId,
        /// The message.
        text: Secret,
        /// The token that the message contains.
        token: Secret,
    },
    /// Close a socket with this code and reason (RFC 6455 7.4), and tell its page.
    #[cfg(feature = "extended")]
    CloseSocket {
        /// The call.
        call: CallId,
        /// The code.
        code: u16,
        /// The reason.
        reason: String,
    },
    /// Give the response that the host holds to the page: first `text`, then its body, or what comes by the socket.
    Deliver {
        /// The call.
        call: CallId,
        /// JSON: `head` of `pkg/src/protocol/messages.ts`.
        text: String,
    },
    /// Forget a call: stop it if it runs, drop its body and its response.
    Drop {
        /// The call.
        call: CallId,
    },
}

/// A request to an API that a rule allows.
#[derive(Clone, Debug)]
pub struct ApiRequest {
    /// The URL and the method.
    pub allowed: Allowed,
    /// The value of `Authorization`.
    pub authorization: Secret,
    /// The access tokens that the response is searched for: the request's own, and the session's others that may still
    /// be valid.
    pub searched: Vec<Secret>,
    /// The proof for the header `DPoP`, to be signed (RFC 9449 7.1), each time that it is sent.
    #[cfg(feature = "extended")]
    pub proof: Option<UnsignedProof>,
    /// The members of Fetch's `RequestInit` that the page chose, as JSON: `headers`, a list of pairs, to which
    /// the host adds the authorization; `cache`, `credentials`, `integrity`, `keepalive`, `priority`.
    pub init: String,
}

/// A source of unpredictable bytes: the host's.
pub trait Entropy {
    /// Fills `bytes` from a cryptographic source.
    fn fill(&mut self, bytes: &mut [u8]);
}

impl fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Message { .. } => "Message",
            Self::Disconnected { .. } => "Disconnected",
            Self::Responded { .. } => "Responded",
            Self::Stored { .. } => "Stored",
            Self::Taken { .. } => "Taken",
            Self::Verified { .. } => "Verified",
            Self::Loaded { .. } => "Loaded",
            Self::Locked { .. } => "Locked",
            Self::Changed => "Changed",
            Self::Hinted(_) => "Hinted",
            Self::CallResponded { .. } => "CallResponded",
            Self::CallFailed { .. } => "CallFailed",
            Self::CallReflected { .. } => "CallReflected",
            Self::CallClosed { .. } => "CallClosed",
            #[cfg(feature = "extended")]
            Self::KeyMade { .. } => "KeyMade",
            #[cfg(feature = "extended")]
            Self::CallUnsigned { .. } => "CallUnsigned",
            #[cfg(feature = "extended")]
            Self::SocketProbed { .. } => "SocketProbed",
            #[cfg(feature = "extended")]
            Self::SocketOpened { .. } => "SocketOpened",
            Self::Tick => "Tick",
            Self::Woke => "Woke",
        })
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Post { .. } => "Post",
            Self::Close { .. } => "Close",
            Self::Send { .. } => "Send",
            Self::Cancel { .. } => "Cancel",
            #[cfg(feature = "extended")]
            Self::MakeKey { .. } => "MakeKey",
            #[cfg(feature = "extended")]
            Self::KeepKeys { .. } => "KeepKeys",
            Self::Store { .. } => "Store",
            Self::Take { .. } => "Take",
            Self::Verify { .. } => "Verify",
            Self::Persist { .. } => "Persist",
            Self::Load { .. } => "Load",
            Self::Lock { .. } => "Lock",
            Self::Unlock => "Unlock",
            Self::Announce => "Announce",
            Self::Hint(_) => "Hint",
            Self::Stop => "Stop",
            Self::HandKeyOver => "HandKeyOver",
            Self::Call { .. } => "Call",
            #[cfg(feature = "extended")]
            Self::ProbeSocket { .. } => "ProbeSocket",
            #[cfg(feature = "extended")]
            Self::OpenSocket { .. } => "OpenSocket",
            #[cfg(feature = "extended")]
            Self::SendFirst { .. } => "SendFirst",
            #[cfg(feature = "extended")]
            Self::CloseSocket { .. } => "CloseSocket",
            Self::Deliver { .. } => "Deliver",
            Self::Drop { .. } => "Drop",
        })
    }
}
