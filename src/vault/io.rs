//! Inputs and outputs of the vault.

use core::fmt;
use rules::prelude::*;

use rules::Secret;
use rules::base::clock::UnixMillis;
use rules::base::http::{HttpRequest, Outcome};
use rules::egress::policy::Allowed;
use rules::egress::websocket::Handshake;
use rules::oauth::dpop::{PublicKey, UnsignedProof};
use rules::oauth::jwks::Algorithm;

/// The number of a page's connection. The host assigns it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortId(pub u32);

/// The number of a page's message and, if the message is a request to an API, of that call. The host assigns it and
/// uses no number twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u32);

/// The number of an operation that the host performs and reports on. The vault assigns it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u32);

/// The number that a page assigns to its request. Other pages may use the same number.
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

/// The kind of a request's body. The kind decides if the request can be sent a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// The request has no body, or its body can be read again.
    Replayable,
    /// The body is a stream, which can be sent only once.
    OneShot,
}

/// The head of an API's response.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// The status code; 0 for a redirect that was not followed.
    pub status: u16,
    /// The reason phrase.
    pub status_text: String,
    /// The URL of the response, without its fragment.
    pub url: String,
    /// The member `redirected` of Fetch's response, which is true if a redirect was followed.
    pub redirected: bool,
    /// True if the response has a body.
    pub has_body: bool,
    /// The `WWW-Authenticate` header, if the API's CORS headers expose it.
    pub www_authenticate: Option<String>,
    /// The `DPoP-Nonce` header (RFC 9449 8), if the API's CORS headers expose it.
    pub dpop_nonce: Option<String>,
    /// True if the response has `Content-Range`, and the API's CORS headers expose it.
    pub has_range: bool,
}

/// The result of [`Output::Take`], which takes a pending login, or the mark that a session has ended, out of the store.
#[derive(Clone, Debug)]
pub enum Taken {
    /// The content of the login or mark. The store no longer has it.
    Found(Secret),
    /// The login or mark was already taken out of the store.
    Used,
    /// The store has no usable login or mark of this name.
    Absent,
    /// The store does not work.
    Unavailable,
}

/// The result of [`Output::Load`], which reads the stored session.
#[derive(Clone, Debug)]
pub enum Loaded {
    /// The state that was stored last.
    Found(Secret),
    /// The store has no state: none was stored, or the store was cleared.
    Nothing,
    /// The stored state cannot be decrypted.
    Damaged,
    /// The store does not work.
    Unavailable,
}

/// An event in another vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// A user signed out, and the end of the session is not written to a store.
    SignedOut,
    /// A user signed out, and the end of the session is or will soon be in the store that the vaults share. If the end
    /// cannot be written, [`News::NotStored`] follows.
    SignedOutInStore,
    /// A user signed in.
    SignedIn,
    /// The sign-out at [`Hint::time`] was announced with [`News::SignedOutInStore`], but may never be written to the
    /// store.
    NotStored,
}

/// A hint between vaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint {
    /// The event.
    pub news: News,
    /// The build of the vault that posted the hint: [`Config::build`](crate::config::Config::build).
    pub build: u16,
    /// The time of the sign-out. For [`News::SignedIn`], the time at which the newest page of the posting vault was
    /// loaded.
    pub time: UnixMillis,
}

/// The unit of time in a posted hint, in milliseconds. A posted number has 53 bits. 35 of these bits are for the time,
/// which is enough until the year 2106.
pub(super) const TIME_UNIT: u64 = 125;

impl Hint {
    /// Returns the number that represents the hint on the channel. Its bits are, from the lowest: two for the news,
    /// sixteen for the build, and the time in eighths of a second.
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

    /// Returns the hint that a posted number represents. Returns `None` if the number does not represent a hint.
    #[must_use]
    pub const fn from_number(number: f64) -> Option<Self> {
        // The cast turns NaN and negative numbers into 0, which is not a hint.
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
    /// A page sent a message.
    Message {
        /// The page.
        port: PortId,
        /// A new number for the message and for the body that came with it.
        call: CallId,
        /// JSON: a `PageMessage` of `pkg/src/protocol/messages.ts`.
        text: &'a str,
        /// The kind of the body that came with the message.
        body: Body,
    },
    /// The port of a page of another origin was connected, which uses the vault through a frame of the vault's origin.
    Framed {
        /// The page.
        port: PortId,
    },
    /// A page is gone.
    Disconnected {
        /// The page.
        port: PortId,
    },
    /// The request of [`Output::Send`] has ended, or the host cannot get the lock of [`Output::Lock`].
    Responded {
        /// The operation.
        op: OpId,
        /// The outcome of the request; [`Outcome::Failed`] for the lock.
        outcome: Outcome,
    },
    /// The operation of [`Output::Store`] or [`Output::Persist`] has ended.
    Stored {
        /// The operation.
        op: OpId,
        /// True if the content was stored.
        ok: bool,
    },
    /// The write of [`Output::Persist`] was not made, because the stored record is neither the one that the last
    /// [`Output::Load`] under the lock has read nor one that this vault has written: another vault has taken the lock over.
    Overtaken {
        /// The operation.
        op: OpId,
    },
    /// The operation of [`Output::Take`] has ended.
    Taken {
        /// The operation.
        op: OpId,
        /// The result of the operation.
        taken: Taken,
    },
    /// The operation of [`Output::Verify`] has ended.
    Verified {
        /// The operation.
        op: OpId,
        /// True if the signature is valid for the key in [`Output::Verify`].
        valid: bool,
    },
    /// The operation of [`Output::Load`] has ended.
    Loaded {
        /// The operation.
        op: OpId,
        /// The result of the operation.
        loaded: Loaded,
    },
    /// The lock of [`Output::Lock`] was granted.
    Locked {
        /// The operation.
        op: OpId,
    },
    /// Another vault has taken the lock over.
    LockLost,
    /// Another vault that uses the same store has changed the store.
    Changed,
    /// A hint was posted on the channel for hints. It comes from another vault of this issuer and client, or from any
    /// script of the origin.
    Hinted(Hint),
    /// The head of the response to [`Output::Call`] has arrived. The host keeps the body until [`Output::Deliver`] or
    /// [`Output::Drop`].
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
    /// The response to [`Output::Call`] contains an access token: see [`rules::egress::token_reflection`].
    CallReflected {
        /// The call.
        call: CallId,
    },
    /// The body of a delivered call has ended or failed, or a socket has closed.
    CallClosed {
        /// The call.
        call: CallId,
    },
    /// The operation of [`Output::MakeKey`] has ended.
    KeyMade {
        /// The operation.
        op: OpId,
        /// The public key; `None` if the platform cannot create such keys.
        key: Option<PublicKey>,
    },
    /// [`Output::Call`] was not sent, because the private key for its proof is gone.
    CallUnsigned {
        /// The call.
        call: CallId,
    },
    /// The probe of [`Output::ProbeSocket`] has ended.
    SocketProbed {
        /// The call that needs the probed socket.
        call: CallId,
        /// True if the worker's Content-Security-Policy blocked the probe, or caused a report about it.
        is_blocked: bool,
    },
    /// The socket of [`Output::OpenSocket`] is open.
    SocketOpened {
        /// The call.
        call: CallId,
        /// The sub-protocol that the server chose, or an empty string.
        protocol: String,
    },
    /// The timer fired. It may fire early or late.
    Tick,
}

/// A task for the host. `Debug` prints only the variant's name: an address may contain a `state`.
pub enum Output {
    /// Post a message to a page.
    Post {
        /// The page.
        port: PortId,
        /// JSON: a `VaultMessage` of `pkg/src/protocol/messages.ts`.
        text: String,
    },
    /// Close the connection to a page and forget the page.
    Close {
        /// The page.
        port: PortId,
    },
    /// Send a request to the provider, and report [`Input::Responded`].
    Send {
        /// The request's number.
        op: OpId,
        /// The request.
        request: HttpRequest,
    },
    /// Cancel an operation. The host need not report its end.
    Cancel {
        /// The operation.
        op: OpId,
    },
    /// Create a key pair for ES256 whose private key is not extractable, keep the private key under the thumbprint of
    /// the public key, and report [`Input::KeyMade`].
    MakeKey {
        /// The operation's number.
        op: OpId,
    },
    /// Forget all private keys except those with these thumbprints.
    KeepKeys {
        /// The thumbprints.
        names: Vec<String>,
    },
    /// Seal and store a pending login, or the mark that a session has ended, and report [`Input::Stored`].
    Store {
        /// The operation's number.
        op: OpId,
        /// The name of the login or mark. The encryption key is derived from this name.
        key: String,
        /// The content to seal.
        value: Secret,
        /// The time after which the record may be deleted.
        expires_at: UnixMillis,
        /// The key pair whose private key is stored with the login. [`Output::Take`] restores this key.
        key_pair: Option<PublicKey>,
    },
    /// Take a pending login, or the mark that a session has ended, out of the store, so that no one can take it again.
    /// Report [`Input::Taken`].
    Take {
        /// The operation's number.
        op: OpId,
        /// The name of the login or mark.
        key: String,
    },
    /// Verify a signature, and report [`Input::Verified`].
    Verify {
        /// The operation's number.
        op: OpId,
        /// The algorithm of the signature.
        algorithm: Algorithm,
        /// The public key as a JSON Web Key (RFC 7517).
        jwk: String,
        /// The signed bytes.
        signing_input: Secret,
        /// The signature.
        signature: Vec<u8>,
    },
    /// Store the state of the session, and report [`Input::Stored`]. After a refresh, the core uses the new tokens only
    /// after this report, or after a time limit.
    Persist {
        /// The operation's number.
        op: OpId,
        /// The state to seal and store in place of the previous state. `None` if sessions are not persisted; the host
        /// then only reports.
        state: Option<Secret>,
        /// The time after which the record may be deleted.
        expires_at: UnixMillis,
        /// The key pair whose private key is stored with the state. [`Output::Load`] restores this key.
        key_pair: Option<PublicKey>,
    },
    /// Read the state that was stored last, and report [`Input::Loaded`].
    Load {
        /// The operation's number.
        op: OpId,
        /// True if the vault has the lock, so that its next writes may replace this record.
        is_locked: bool,
    },
    /// Request the lock that all vaults of this store share, and report [`Input::Locked`] when it is granted.
    Lock {
        /// The operation's number. [`Output::Cancel`] cancels the request for the lock.
        op: OpId,
    },
    /// Take the lock over, if the vault that holds it has held it since [`Output::Lock`] or the last attempt, and does not
    /// answer: its page is frozen. Then report [`Input::Locked`], and [`Input::LockLost`] to the other vault.
    TakeOver,
    /// Release the lock, unless another vault has taken it over.
    Unlock,
    /// Tell the other vaults of this store that the store has changed. They get [`Input::Changed`].
    Announce,
    /// Post the hint to all other vaults on the channel for [`News::SignedIn`]
    /// ([`Config::sign_in_channel`](crate::config::Config::sign_in_channel)), or on the one for all other news
    /// ([`Flow::channel`](rules::config::Flow::channel)). They get [`Input::Hinted`].
    Hint(Hint),
    /// Stop this vault permanently, and refuse its pages with `vault_outdated`.
    Stop,
    /// Write to the worker's console that the provider says this, for developers. Pages must not get the text.
    Log {
        /// The provider's description of an error, in quotation marks.
        text: String,
    },
    /// Send the key that seals sessions to the service worker that holds this key in escrow. The vault repeats this
    /// output, because the service worker can lose the key. The host need not report the result.
    HandKeyOver,
    /// Send a page's request to an API with the access token, and report [`Input::CallResponded`],
    /// [`Input::CallReflected`] or [`Input::CallFailed`]. If the key for the proof is gone, do not send the request,
    /// and report `CallUnsigned`. The host keeps the request's body, because the core may send the same call again.
    Call {
        /// The call.
        call: CallId,
        /// The page.
        port: PortId,
        /// The page's own number for the call. The host posts the chunks of the response's body with this number.
        id: RequestId,
        /// The request.
        request: Box<ApiRequest>,
    },
    /// Connect to a URL without a token, to find out if the worker's Content-Security-Policy blocks or reports sockets
    /// to this URL. Report [`Input::SocketProbed`]. The server need not accept this connection.
    ProbeSocket {
        /// The call.
        call: CallId,
        /// The URL, without its query.
        url: String,
    },
    /// Open a socket, and report [`Input::SocketOpened`] or [`Input::CallClosed`]. A `MessagePort` came with the page's
    /// message. The page uses this port to send and receive messages, and learns there how the socket was closed. The
    /// host accepts messages from the page only after [`Output::Deliver`].
    OpenSocket {
        /// The call.
        call: CallId,
        /// The handshake.
        handshake: Box<Handshake>,
    },
    /// Send a message of the vault on a socket, before any message of the page.
    SendFirst {
        /// The call.
        call: CallId,
        /// The message.
        text: Secret,
    },
    /// Close a socket with a code and a reason (RFC 6455 7.4), and tell the page.
    CloseSocket {
        /// The call.
        call: CallId,
        /// The code.
        code: u16,
        /// The reason.
        reason: String,
    },
    /// Deliver to the page the response that the host holds: first `text`, then the body. For a socket, post `text`,
    /// and then pass messages between the page and the API.
    Deliver {
        /// The call.
        call: CallId,
        /// JSON: the message `head` or `socket` of `pkg/src/protocol/messages.ts`.
        text: String,
    },
    /// The session has a new access token. From now on, search each open response and socket, unless its rule turns the
    /// search off, for its own token and for these: see
    /// [`Guard::renew`](rules::egress::token_reflection::Guard::renew).
    Search {
        /// The access tokens.
        tokens: Vec<Secret>,
    },
    /// Forget a call: abort its request or close its socket, and drop its body and response.
    Drop {
        /// The call.
        call: CallId,
    },
}

/// A request to an API that the configuration allows.
#[derive(Clone, Debug)]
pub struct ApiRequest {
    /// The URL and the method.
    pub allowed: Allowed,
    /// The value of the `Authorization` header.
    pub authorization: Secret,
    /// The access tokens that the response is searched for, the request's own first. [`Output::Search`] replaces the others.
    pub searched: Vec<Secret>,
    /// The unsigned proof for the `DPoP` header (RFC 9449 7.1). The host signs it.
    pub proof: Option<UnsignedProof>,
    /// The members of Fetch's `RequestInit` that the page chose, as JSON: `headers`, `cache`, `credentials`,
    /// `integrity`, `keepalive` and `priority`. `headers` is an array of pairs, to which the host adds the
    /// `Authorization` header.
    pub init: String,
}

impl fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Message { .. } => "Message",
            Self::Framed { .. } => "Framed",
            Self::Disconnected { .. } => "Disconnected",
            Self::Responded { .. } => "Responded",
            Self::Stored { .. } => "Stored",
            Self::Overtaken { .. } => "Overtaken",
            Self::Taken { .. } => "Taken",
            Self::Verified { .. } => "Verified",
            Self::Loaded { .. } => "Loaded",
            Self::Locked { .. } => "Locked",
            Self::LockLost => "LockLost",
            Self::Changed => "Changed",
            Self::Hinted(_) => "Hinted",
            Self::CallResponded { .. } => "CallResponded",
            Self::CallFailed { .. } => "CallFailed",
            Self::CallReflected { .. } => "CallReflected",
            Self::CallClosed { .. } => "CallClosed",
            Self::KeyMade { .. } => "KeyMade",
            Self::CallUnsigned { .. } => "CallUnsigned",
            Self::SocketProbed { .. } => "SocketProbed",
            Self::SocketOpened { .. } => "SocketOpened",
            Self::Tick => "Tick",
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
            Self::MakeKey { .. } => "MakeKey",
            Self::KeepKeys { .. } => "KeepKeys",
            Self::Store { .. } => "Store",
            Self::Take { .. } => "Take",
            Self::Verify { .. } => "Verify",
            Self::Persist { .. } => "Persist",
            Self::Load { .. } => "Load",
            Self::Lock { .. } => "Lock",
            Self::TakeOver => "TakeOver",
            Self::Unlock => "Unlock",
            Self::Announce => "Announce",
            Self::Hint(_) => "Hint",
            Self::Stop => "Stop",
            Self::Log { .. } => "Log",
            Self::HandKeyOver => "HandKeyOver",
            Self::Call { .. } => "Call",
            Self::ProbeSocket { .. } => "ProbeSocket",
            Self::OpenSocket { .. } => "OpenSocket",
            Self::SendFirst { .. } => "SendFirst",
            Self::CloseSocket { .. } => "CloseSocket",
            Self::Deliver { .. } => "Deliver",
            Self::Search { .. } => "Search",
            Self::Drop { .. } => "Drop",
        })
    }
}
