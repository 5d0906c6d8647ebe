//! The vault: every rule tied together into one state machine for a browser's worker.
//!
//! The host puts in what happened ([`Input`], always with the time) and carries out what comes out
//! ([`Output`]), until [`Vault::poll`] has no more:
//!
//! - `login`: the authorization request, and who waits for it.
//! - `pushed`: a login whose request goes to the provider itself first.
//! - `device`: a login on another device.
//! - `callback`: the answer, its exchange for tokens, the beginning of a session.
//! - `refresh`: the one refresh, and who waits for it.
//! - `api_calls`: requests of pages to APIs.
//! - `api_sockets`: sockets of pages to APIs.
//! - `step_up`: calls whose API wants another authentication, or more scope.
//! - `resource_tokens`: access tokens of APIs that have their own.
//! - `session_end`: logout, limits, verdicts.
//! - `hints`: sign-outs and sign-ins in other vaults, and the end of an outdated vault.
//! - `dpop`: proofs of the possession of the key that tokens are bound to.
//! - `escrow`: the key of what is kept, when somebody else has it.
//! - `persistence`: what vaults that share a store have in common.
//! - `provider`: its metadata and keys, fetched when first needed.
//! - `verification`: an ID token on its way to being believed.
//! - `inspector`: what the inspector is told.
//! - `warnings`: what developers are told, once.
//! - `message`, `io`: what goes in and out.

mod api_calls;
#[cfg(feature = "extended")]
mod api_sockets;
mod callback;
#[cfg(feature = "extended")]
mod device;
#[cfg(feature = "extended")]
mod dpop;
#[cfg(feature = "extended")]
mod escrow;
mod hints;
mod inspector;
mod io;
mod list;
mod login;
mod message;
mod persistence;
mod provider;
mod pushed;
mod refresh;
#[cfg(feature = "extended")]
mod resource_tokens;
mod session_end;
#[cfg(feature = "extended")]
mod step_up;
mod verification;
mod warnings;

use crate::prelude::*;

use crate::base::clock::{Instant, Millis, UnixMillis};
use crate::base::error::{Code, Error};
use crate::base::http::{HttpRequest, Outcome};
use crate::codec::json::Writer;
use crate::config::Config;
use crate::oauth::pushed_authorization as pushed_request;
use crate::session::{EndReason, Session};
use list::List;
use message::{PROTOCOL, PageMessage, Request, message};

pub use hints::{Hint, News, channel as hints_channel};
pub use io::{ApiRequest, Body, CallId, Entropy, Input, OpId, Output, PortId, ResponseHead, Taken};
pub use message::failed;
pub use persistence::Loaded;

/// Most pages that a vault serves at once.
pub const MAX_PORTS: usize = 256;

/// The state machine. See the [module](self).
pub struct Vault {
    config: Config,
    entropy: Box<dyn Entropy>,
    /// The time of the input that is being handled.
    now: Instant,
    outputs: Vec<Output>,
    ports: Vec<PortId>,
    session: Option<Box<Session>>,
    end_reason: Option<EndReason>,
    /// Pages were told that the session is about to end.
    has_warned: bool,
    provider: provider::Provider,
    logins: login::Logins,
    callbacks: List<callback::Callback>,
    /// The provider does not let this client push authorization requests.
    is_pushing_refused: bool,
    shown_warnings: Vec<Code>,
    renewal: refresh::Renewal,
    calls: List<api_calls::Call>,
    ending: session_end::Ending,
    keeper: persistence::Keeper,
    hints: hints::Hints,
    #[cfg(feature = "extended")]
    escrow: escrow::Escrow,
    #[cfg(feature = "extended")]
    dpop: dpop::Dpop,
    #[cfg(feature = "extended")]
    stepped_up: Option<step_up::SteppedUp>,
    /// Addresses of sockets that the worker's policy allows: see `sockets`.
    #[cfg(feature = "extended")]
    probed: Vec<String>,
    operations: Vec<Operation>,
    last_op: OpId,
    fingerprint_salt: [u8; 16],
    /// Provider's clock minus the device's, in milliseconds, where the provider's `Date` is readable.
    clock_offset: i64,
}

/// Something that the host was asked to do.
struct Operation {
    op: OpId,
    purpose: Purpose,
    /// When it is given up: what waits for the provider or for the store must not wait for ever.
    deadline: Option<Millis>,
}

/// What an operation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Metadata,
    Keys,
    /// Checks that the provider can be reached, by an uncached request for its metadata or keys.
    Probe,
    /// Checks that the provider can be reached, for a login whose push got no readable response.
    ProbeForLogin,
    #[cfg(feature = "extended")]
    MakeKey,
    Push,
    #[cfg(feature = "extended")]
    AskDevice,
    #[cfg(feature = "extended")]
    PollDevice,
    StoreLogin,
    TakeLogin,
    Exchange,
    VerifyLogin,
    Refresh,
    VerifyRefresh,
    PersistRefresh,
    Revoke,
    Look,
    Lock,
    Read,
    Write,
    /// That a session has ended, beside it.
    Mark,
}

impl Purpose {
    /// Whether it is a request to the token endpoint that tokens may come of.
    const fn brings_tokens(self) -> bool {
        match self {
            Self::Exchange | Self::Refresh => true,
            #[cfg(feature = "extended")]
            Self::PollDevice => true,
            _ => false,
        }
    }
}

impl Vault {
    /// A vault without a session.
    #[must_use]
    pub fn new(mut config: Config, mut entropy: Box<dyn Entropy>) -> Self {
        let fingerprint_salt = inspector::salt(&mut *entropy);
        let metadata = config.take_metadata();
        if let Some(metadata) = &metadata {
            config.rules.forbid(&metadata.endpoints());
        }
        Self {
            provider: provider::Provider::new(&config.issuer, metadata),
            hints: hints::Hints::default(),
            config,
            entropy,
            now: Instant::default(),
            outputs: Vec::new(),
            ports: Vec::new(),
            session: None,
            end_reason: None,
            has_warned: false,
            logins: login::Logins::default(),
            callbacks: Vec::new(),
            is_pushing_refused: false,
            shown_warnings: Vec::new(),
            renewal: refresh::Renewal::default(),
            calls: Vec::new(),
            ending: session_end::Ending::default(),
            keeper: persistence::Keeper::default(),
            #[cfg(feature = "extended")]
            escrow: escrow::Escrow::default(),
            #[cfg(feature = "extended")]
            dpop: dpop::Dpop::default(),
            #[cfg(feature = "extended")]
            stepped_up: None,
            #[cfg(feature = "extended")]
            probed: Vec::new(),
            operations: Vec::new(),
            last_op: 0,
            fingerprint_salt,
            clock_offset: 0,
        }
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        self.now = now;
        self.begin_keeping();
        self.enforce_limits();
        match input {
            Input::Message {
                port,
                call,
                text,
                body,
            } => self.message(port, call, text, body),
            Input::Disconnected { port } => self.disconnected(port),
            Input::Answered { op, outcome } => {
                if let Some(purpose) = self.finish(op) {
                    self.note_server_time(purpose, &outcome);
                    #[cfg(feature = "extended")]
                    if self.is_proven_again(op, purpose, &outcome) {
                        return;
                    }
                    self.answered(op, purpose, &outcome);
                }
            }
            Input::Stored { op, ok } => match self.finish(op) {
                Some(Purpose::StoreLogin) => self.login_stored(op, ok),
                Some(Purpose::PersistRefresh) if persistence::IS_BUILT_IN => {
                    self.refresh_persisted(op, ok);
                }
                Some(Purpose::Write) if persistence::IS_BUILT_IN => self.state_written(op, ok),
                Some(Purpose::Mark) if persistence::IS_BUILT_IN => self.marked(ok),
                _ => {}
            },
            Input::Taken { op, taken } => match self.finish(op) {
                Some(purpose @ (Purpose::Look | Purpose::Read)) if persistence::IS_BUILT_IN => {
                    self.mark_taken(purpose, &taken);
                }
                Some(_) => self.login_taken(op, &taken),
                None => {}
            },
            Input::Verified { op, valid } => match self.finish(op) {
                Some(Purpose::VerifyLogin) => self.login_verified(op, valid),
                Some(Purpose::VerifyRefresh) => self.refresh_verified(op, valid),
                _ => {}
            },
            Input::Loaded { .. } | Input::Locked { .. } | Input::Changed
                if !persistence::IS_BUILT_IN => {}
            Input::Loaded { op, loaded } => {
                if let Some(purpose) = self.finish(op) {
                    self.loaded(purpose, &loaded);
                }
            }
            Input::Locked { op } => match self.finish(op) {
                Some(_) => self.locked(),
                // It was given up meanwhile.
                None => self.outputs.push(Output::Unlock),
            },
            Input::Changed => self.changed_elsewhere(),
            Input::Hinted(hint) => self.hinted(hint),
            Input::CallAnswered { call, head } => self.call_answered(call, &head),
            Input::CallFailed { call } => self.call_failed(call),
            Input::CallReflected { call } => self.call_reflected(call),
            Input::CallClosed { call } => self.call_closed(call),
            #[cfg(feature = "extended")]
            Input::KeyMade { op, key } => {
                if self.finish(op).is_some() {
                    self.key_made(op, key);
                }
            }
            #[cfg(feature = "extended")]
            Input::CallUnsigned { call } => self.call_unsigned(call),
            #[cfg(feature = "extended")]
            Input::SocketProbed { call, is_blocked } => self.socket_probed(call, is_blocked),
            #[cfg(feature = "extended")]
            Input::SocketOpened { call, protocol } => self.socket_opened(call, &protocol),
            Input::Tick => self.tick(),
            Input::Woke => self.woke(),
        }
        self.warn();
        self.make_room();
        #[cfg(feature = "extended")]
        self.discard_keys();
    }

    /// The next thing for the host to do.
    pub fn poll(&mut self) -> Option<Output> {
        // They are few, and a ring of them is 0.1 KB more than moving those that are left.
        (!self.outputs.is_empty()).then(|| self.outputs.remove(0))
    }

    /// When, by the monotonic clock, a [`Input::Tick`] is due if nothing else happens before.
    #[must_use]
    pub fn next_tick(&self, now: Instant) -> Option<Millis> {
        let mut next = self.renewal.due().unwrap_or(Millis::MAX);
        let mut consider = |at: Millis| next = next.min(at);
        self.keeper_due().map(&mut consider);
        #[cfg(feature = "extended")]
        self.hand_over_due().map(&mut consider);
        for operation in &self.operations {
            operation.deadline.map(&mut consider);
        }
        if let Some(session) = self.session.as_ref().filter(|_| !self.awaits_verdict()) {
            let left = session.until_limit(&self.config.limits, &now);
            let ahead = if self.has_warned {
                Millis::ZERO
            } else {
                self.warning()
            };
            consider(now.monotonic + left.saturating_sub(ahead));
            // A token may live for less than the time between two reports of the user's activity.
            let fresh = session.until_stale(&now);
            if fresh > Millis::ZERO && session.is_renewed_ahead(&now) {
                consider(now.monotonic + fresh);
            }
        }
        self.hints.due(now.monotonic).map(&mut consider);
        self.for_each_retry(&mut consider);
        self.logins.for_each_deadline(&mut consider);
        (next != Millis::MAX).then_some(next)
    }

    fn message(&mut self, port: PortId, call: CallId, text: &str, body: Body) {
        let message = match PageMessage::parse(text) {
            Ok(message) => message,
            Err(unreadable) => {
                self.drop_call(call);
                return self.post_error(port, unreadable.id, &unreadable.error);
            }
        };
        let id = message.id;
        if !message.request.has_payload() {
            // A page may have sent a body along, of which there is no use.
            self.drop_call(call);
        }
        if let Request::Hello { version, loaded } = message.request {
            return self.hello(port, version, loaded);
        }
        if matches!(message.request, Request::Bye) {
            #[cfg(feature = "extended")]
            self.hand_key_over();
            self.disconnected(port);
            return self.outputs.push(Output::Close { port });
        }
        if !self.forget_port(port) {
            self.drop_call(call);
            let why = msg!("the first message must be hello");
            return self.decline(port, id, Code::MessageInvalid, why);
        }
        // The list is in the order in which pages were heard from: see `evict`.
        self.ports.push(port);
        match message.request {
            Request::Hello { .. } | Request::Bye => {}
            Request::Login(params) => self.login(port, id, params),
            Request::Cancel => self.cancel_login(port, id),
            Request::Callback { url } => self.callback(port, id, &url),
            Request::Fetch(request) => self.fetch((port, id), call, &request, body),
            #[cfg(feature = "extended")]
            Request::Socket(request) => self.socket((port, id), call, request),
            Request::Abort => self.abort(port, id),
            Request::Logout {
                provider,
                return_to,
            } => self.logout(port, id, provider, return_to.as_deref()),
            Request::Inspect => self.inspect(port, id),
            Request::Active => {
                #[cfg(feature = "extended")]
                self.user_is_there();
                self.user_is_active();
            }
            Request::Woke => self.woke(),
        }
    }

    fn hello(&mut self, port: PortId, version: u64, loaded: UnixMillis) {
        if version != PROTOCOL {
            let why = msg!("page and worker are of different versions of strongroom");
            return self.refuse(port, Code::MessageInvalid, why);
        }
        self.note_page(loaded);
        self.forget_port(port);
        if self.ports.len() == MAX_PORTS {
            self.evict();
        }
        self.ports.push(port);
        #[cfg(feature = "extended")]
        self.user_is_there();
        if !self.is_loading() {
            self.greet(port);
        }
    }

    fn greet(&mut self, port: PortId) {
        let mut ready = message("ready");
        ready.number("version", PROTOCOL);
        // Still loading: this page had to wait for what the store has.
        if self.is_loading() && self.session.is_some() {
            let is_escrowed = self.config.is_escrowed;
            ready.text("from", if is_escrowed { "escrow" } else { "storage" });
        }
        let text = self.session_message(&mut ready);
        self.post(port, text);
        if let Some(text) = self.farewell() {
            self.post(port, text);
        }
    }

    /// Lets go of the page that was heard from the longest ago, of those without a call if there is
    /// one: pages that crashed, or were discarded, never said that they were leaving.
    fn evict(&mut self) {
        let is_idle = |port: &&PortId| !self.has_calls(**port);
        if let Some(&port) = self.ports.iter().find(is_idle).or(self.ports.first()) {
            let why = msg!("256 other pages have connected since");
            self.refuse(port, Code::LimitExceeded, why);
        }
    }

    fn refuse(&mut self, port: PortId, code: Code, why: &str) {
        self.disconnected(port);
        self.post(port, failed(&Error::new(code, why)));
        self.outputs.push(Output::Close { port });
    }

    /// Takes a page off the list. Returns true if it was there.
    fn forget_port(&mut self, port: PortId) -> bool {
        let place = self.ports.iter().position(|known| *known == port);
        place.map(|i| self.ports.remove(i)).is_some()
    }

    fn disconnected(&mut self, port: PortId) {
        self.forget_port(port);
        self.forget_calls_of(port);
        self.logins.forget_port(port);
        self.callbacks_disconnected(port);
        if persistence::IS_BUILT_IN {
            self.forget_logins_of(port);
        }
        self.ending.forget_port(port);
    }

    fn answered(&mut self, op: OpId, purpose: Purpose, outcome: &Outcome) {
        match purpose {
            Purpose::Metadata => self.metadata_answered(outcome),
            Purpose::Keys => self.keys_answered(outcome),
            Purpose::Probe => self.probe_answered(outcome),
            Purpose::ProbeForLogin => {
                let is_reachable = self.is_reachable(outcome);
                self.login_pushed(op, pushed_request::after_probe(is_reachable));
            }
            Purpose::Exchange => self.exchange_answered(op, outcome),
            Purpose::Refresh => self.refresh_answered(op, outcome),
            Purpose::Push => self.login_pushed(op, pushed_request::read(outcome)),
            #[cfg(feature = "extended")]
            Purpose::AskDevice => self.device_asked(op, outcome),
            #[cfg(feature = "extended")]
            Purpose::PollDevice => self.device_polled(op, outcome),
            Purpose::Revoke => self.revocation_answered(op, outcome),
            // Only when their time is over: the store is stuck.
            Purpose::StoreLogin => self.login_stored(op, false),
            Purpose::TakeLogin => self.login_taken(op, &Taken::Unavailable),
            #[cfg(feature = "extended")]
            Purpose::MakeKey => self.key_made(op, None),
            _ if !persistence::IS_BUILT_IN => {}
            Purpose::Look | Purpose::Read => self.not_read(purpose),
            Purpose::Mark => self.marked(false),
            Purpose::Write => {
                #[cfg(feature = "extended")]
                self.not_written();
                self.state_written(op, false);
            }
            Purpose::PersistRefresh => {
                #[cfg(feature = "extended")]
                self.not_written();
                self.refresh_persisted(op, false);
            }
            Purpose::Lock => self.not_locked(),
            _ => {}
        }
    }

    fn woke(&mut self) {
        #[cfg(feature = "extended")]
        self.user_is_there();
        self.renewal.schedule.retry_soon();
        self.tick();
    }

    fn tick(&mut self) {
        let now = self.now;
        let is_over = |at: Millis| at <= now.monotonic;
        while let Some(i) = self
            .operations
            .iter()
            .position(|o| o.deadline.is_some_and(is_over))
        {
            let Operation { op, purpose, .. } = self.operations.swap_remove(i);
            self.outputs.push(Output::Cancel { op });
            #[cfg(feature = "extended")]
            self.is_proven_again(op, purpose, &Outcome::Failed);
            self.answered(op, purpose, &Outcome::Failed);
        }
        self.expire_logins();
        #[cfg(feature = "extended")]
        self.poll_devices();
        self.retry_revocations();
        self.keep_on_time();
        #[cfg(feature = "extended")]
        self.hand_over_on_time();
        if self.renewal.due().is_some_and(is_over) {
            self.retry_refresh();
        }
        let is_needed =
            |session: &Session| session.is_stale(&now) && session.is_renewed_ahead(&now);
        if !self.is_in_doubt() && self.session.as_deref().is_some_and(is_needed) {
            self.start_refresh();
        }
    }

    /// The time for claims: the provider's where it is known, else the device's.
    fn provider_seconds(&self) -> u64 {
        self.now.wall.saturating_add_signed(self.clock_offset) / 1000
    }

    /// Only an answer to a POST is fresh for sure; others may come from a cache.
    fn note_server_time(&mut self, purpose: Purpose, outcome: &Outcome) {
        if let Outcome::Reply(reply) = outcome
            && let Some(date) = reply.date
            && purpose.brings_tokens()
        {
            self.clock_offset = date.cast_signed() - self.now.wall.cast_signed();
        }
    }

    fn begin_operation(&mut self, purpose: Purpose, deadline: Option<Millis>) -> OpId {
        self.last_op += 1;
        self.operations.push(Operation {
            op: self.last_op,
            purpose,
            deadline,
        });
        self.last_op
    }

    /// Goes on with an operation that was over: as long as it might have taken from the beginning.
    #[cfg(feature = "extended")]
    fn resume_operation(&mut self, op: OpId, purpose: Purpose) {
        let deadline = Some(self.now.monotonic + self.config.request_timeout);
        self.operations.push(Operation {
            op,
            purpose,
            deadline,
        });
    }

    /// Ends an operation: what it was for, unless it is over already or was never asked for.
    fn finish(&mut self, op: OpId) -> Option<Purpose> {
        let i = self.operations.iter().position(|o| o.op == op)?;
        Some(self.operations.swap_remove(i).purpose)
    }

    /// An operation that is given up after as long as a request to the provider may take.
    fn begin_limited(&mut self, purpose: Purpose) -> OpId {
        let deadline = self.now.monotonic + self.config.request_timeout;
        self.begin_operation(purpose, Some(deadline))
    }

    fn send(&mut self, purpose: Purpose, request: HttpRequest) -> OpId {
        let op = self.begin_limited(purpose);
        self.outputs.push(Output::Send { op, request });
        op
    }

    fn post(&mut self, port: PortId, text: String) {
        self.outputs.push(Output::Post { port, text });
    }

    fn post_error(&mut self, port: PortId, id: u64, error: &Error) {
        self.post(port, message::error(id, error));
    }

    /// Answers a page's request with an error.
    #[inline(never)]
    fn decline(&mut self, port: PortId, id: u64, code: Code, why: &str) {
        self.post_error(port, id, &Error::new(code, why));
    }

    fn post_done(&mut self, port: PortId, id: u64, url: Option<&str>, is_revoked: bool) {
        let mut done = message("done");
        done.number("id", id)
            .optional_text("url", url)
            .flag("revoked", is_revoked);
        self.post(port, done.finish());
    }

    fn broadcast(&mut self, text: &str) {
        for i in 0..self.ports.len() {
            self.post(self.ports[i], text.to_owned());
        }
    }

    fn broadcast_session(&mut self) {
        if self.is_loading() {
            return;
        }
        let text = self.session_message(&mut message("session"));
        self.broadcast(&text);
    }

    /// Ends a message with what a page may know of the session.
    fn session_message(&self, message: &mut Writer) -> String {
        let view = self
            .session
            .as_ref()
            .map(|s| s.view(&self.config, self.is_kept(), self.is_suspected()));
        let reason = self.end_reason.map(EndReason::as_str);
        self.tell_elsewhere(message);
        message
            .json("session", view.as_deref().unwrap_or("null"))
            .optional_text("reason", reason)
            .finish()
    }
}
