//! The vault: the state machine of one browser worker, which keeps tokens out of the page.
//!
//! No I/O may enter this crate, and nothing of the token handler.
//!
//! The vault signs the user in by the authorization code flow with PKCE, validates ID tokens, rotates refresh tokens, and
//! adds the access token to requests for APIs. A page sends commands to the vault and receives results, but no token,
//! except the ID token in the address of a logout with `idTokenHint: true`.
//!
//! # The vault does no I/O
//!
//! The vault does not read a clock, open a connection or wait, and it has no random numbers of its own. A host passes a
//! source of random numbers ([`Entropy`]) once, and then events, always with the time. The host performs the vault's
//! outputs:
//!
//! 1. [`Vault::handle`] takes an [`Input`], for example a page's message, a response of the provider, the head of an
//!    API's response, a timer or a verified signature.
//! 2. [`Vault::poll`] returns the next [`Output`], if there is one. An output is a task for the host, for example to send
//!    a request, store a login, verify a signature, or post a message to a page.
//! 3. [`Vault::next_tick`] returns the time of the next timer. The timer may fire late or early: the vault uses the time
//!    that every input carries, and never assumes that a timer fired on time.
//!
//! So native tests can run each rule in virtual time and simulate every network fault. The host for browsers is the crate
//! in `src/browser`.
//!
//! ```
//! use rules::base::clock::{Instant, Millis};
//! use vault::config::Config;
//! use vault::{Body, CallId, Entropy, Input, Output, PortId, Vault};
//!
//! struct Zeros; // A host uses the platform's random numbers.
//! impl Entropy for Zeros {
//!     fn fill(&mut self, bytes: &mut [u8]) {
//!         bytes.fill(0);
//!     }
//! }
//!
//! let config = Config::parse(
//!     r#"{
//!         "issuer": "https://id.example.com",
//!         "clientId": "spa",
//!         "redirectUri": "/callback",
//!         "scope": "openid offline_access",
//!         "apis": [{ "url": "https://api.example.com/v1/" }]
//!     }"#,
//!     "https://app.example.com/auth.worker.js",
//! )?;
//! let mut vault = Vault::new(config, Box::new(Zeros));
//!
//! // A page connects and wants to log in.
//! let port = PortId(1);
//! let now = Instant { monotonic: Millis::ZERO, wall: 1_790_000_000_000 };
//! for (call, text) in [
//!     (CallId(1), r#"{"t":"hello","version":1}"#),
//!     (CallId(2), r#"{"t":"login","id":1,"mode":"redirect"}"#),
//! ] {
//!     vault.handle(now, Input::Message { port, call, text, body: Body::Replayable });
//! }
//!
//! // The vault greets the page and requests the provider's metadata.
//! let mut posts = 0;
//! while let Some(output) = vault.poll() {
//!     match output {
//!         Output::Post { port: to, .. } => posts += u32::from(to == port),
//!         Output::Send { request, .. } => assert_eq!(
//!             request.url,
//!             "https://id.example.com/.well-known/openid-configuration"
//!         ),
//!         _ => {}
//!     }
//! }
//! assert_eq!(posts, 1);
//!
//! // Without a response the request times out, and the page gets an error.
//! let later = Instant { monotonic: Millis::from_secs(10), wall: now.wall + 10_000 };
//! assert_eq!(vault.next_tick(now), Some(later.monotonic));
//! vault.handle(later, Input::Tick);
//! assert!(matches!(vault.poll(), Some(Output::Cancel { .. })));
//! let Some(Output::Post { text, .. }) = vault.poll() else { panic!() };
//! assert!(text.contains("provider_unavailable"));
//! # Ok::<(), rules::Error>(())
//! ```
//!
//! # The parts
//!
//! The vault consists of parts, which are the modules below. Each part owns its state, takes the shared `Context`, and
//! returns an outcome. This file routes outcomes between the parts; the most important sequence is in
//! `Vault::advance_refresh`. A part may use the parts that follow it in this list, but must not use those above
//! it or this file:
//!
//! - `session_end`: limits, logout, and the end of a session for all pages.
//! - `api_calls`: requests of pages to APIs. `api_sockets`: sockets of pages to APIs. `step_up`: calls for which the
//!   API demands another authentication or more scope.
//! - `tokens`: the session's tokens, and their revocation. `refresh`: the refresh; at most one is in flight.
//!   `resource_tokens`: separate access tokens for single APIs. `persistence`: the session in a store that several
//!   vaults share.
//! - `login`: the authorization request, its response, and the exchange of the code for tokens. The request may be
//!   pushed, and users may sign in on another device.
//! - `verification`: validation of an ID token.
//! - `provider`: the provider's metadata and keys, which are fetched when they are first needed.
//! - `pin`: metadata that were known when the app was built, until the provider's own replace them.
//! - `pages`: the first message to each page. `inspector`: responses to the session inspector.
//! - `call_list`: the calls in flight. `api_warnings`: warnings for developers about APIs that calls cannot use.
//! - `dpop`: proofs of possession of the DPoP keys of tokens.
//! - `escrow`: the key that encrypts stored sessions, if a service worker holds the key.
//! - `hints`: messages between vaults about sign-outs and sign-ins, and the end of an outdated vault.
//! - `context`: configuration, time, session, connected pages, operations in flight.
//! - `line`: when the network may last have changed, and when a server last answered.
//! - `message`: the messages between page and vault. `io`: inputs and outputs.
//! - `config`: the configuration.

#![cfg_attr(target_arch = "wasm32", no_std)]

mod api_calls;
mod api_sockets;
mod api_warnings;
mod call_list;
pub mod config;
mod context;
mod dpop;
mod escrow;
mod hints;
mod inspector;
mod io;
mod line;
mod login;
mod message;
mod pages;
mod persistence;
mod pin;
mod provider;
mod refresh;
mod resource_tokens;
mod session_end;
mod step_up;
mod tokens;
mod verification;

use rules::prelude::*;

use crate::config::Config;
use api_calls::{Calls, GiveUpReason};
use context::{Context, Purpose};
use escrow::Escrow;
use hints::{Hints, SignOut};
use login::callback::{CallbackOutcome, Callbacks, Parts, VerifiedLogin};
use login::in_flight::Logins;
use login::initiated;
use message::{PROTOCOL, PageMessage, Request};
use persistence::reader::Stored;
use persistence::{ReadAction, Written};
use pin::{Held, Verdict};
use provider::Provider;
use refresh::{RefreshStart, RefreshStep};
use resource_tokens::TargetRefusal;
use rules::base::clock::{Instant, Millis, UnixMillis};
use rules::base::error::{Code, Error};
use rules::base::http::Outcome;
use rules::session::{EndReason, Session};
use session_end::limits::ExpiryWarning;
use session_end::logout::{LogoutRequest, Logouts};
use tokens::Tokens;
use tokens::merge::Merged;

pub use io::{
    ApiRequest, Body, CallId, Hint, Input, Loaded, News, OpId, Output, PortId, RequestId,
    ResponseHead, Taken,
};
pub use message::failed;
pub use rules::base::entropy::Entropy;

/// Largest number of pages that are connected to a vault at the same time.
pub const MAX_PORTS: usize = 256;

/// The longest ID token, in bytes, that the address of a logout may contain.
const LONGEST_HINT: usize = 4096;

/// The state machine. See the [crate](self).
pub struct Vault {
    ctx: Context,
    tokens: Tokens,
    logins: Logins,
    callbacks: Callbacks,
    calls: Calls,
    expiry_warning: ExpiryWarning,
    logouts: Logouts,
    hints: Hints,
    escrow: Escrow,
}

impl Vault {
    /// Creates a vault without a session.
    #[must_use]
    pub fn new(mut config: Config, entropy: Box<dyn Entropy>) -> Self {
        let (metadata, pinned) = (config.take_metadata(), config.take_pinned());
        for known in metadata.iter().chain(&pinned.metadata) {
            config.rules.forbid(&known.endpoints());
        }
        let escrow = Escrow::new(&config);
        Self {
            tokens: Tokens::new(Provider::new(&config.flow.issuer, metadata, pinned)),
            ctx: Context::new(config, entropy),
            logins: Logins::default(),
            callbacks: Callbacks::default(),
            calls: Calls::default(),
            expiry_warning: ExpiryWarning::default(),
            logouts: Logouts::default(),
            hints: Hints::default(),
            escrow,
        }
    }

    /// Handles an event that occurred at `now`.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        self.ctx.now = now;
        let is_beating = self.is_beating();
        let doubt = self.ctx.line.input_arrived(now, is_beating);
        self.ctx.report_doubt(doubt);
        self.tokens.refresh.count_wait(&self.ctx);
        self.tokens.persistence.begin(&mut self.ctx);
        // control: limits_apply_at_every_input
        self.enforce_limits();
        self.record_uploads();
        self.route(input);
        let Self { ctx, tokens, .. } = self;
        tokens.refresh.record_wait(ctx, &tokens.provider);
        tokens.provider.check_pin(ctx);
        self.expiry_warning.update(ctx);
        let may_stop = tokens.persistence.is_up_to_date(ctx);
        if self.hints.stop_if_outdated(ctx, may_stop) {
            tokens.stop(ctx);
        }
        tokens.keep_keys(ctx, self.logins.keys().chain(self.callbacks.keys()));
        ctx.search_for_new_tokens();
    }

    fn route(&mut self, input: Input<'_>) {
        let Self {
            ctx, tokens, calls, ..
        } = self;
        match input {
            Input::Message {
                port,
                call,
                text,
                body,
            } => self.handle_message(port, call, text, body),
            Input::Framed { port } => self.ctx.framed.push(port),
            Input::Disconnected { port } => self.disconnected(port),
            Input::LockLost => self.lock_lost(),
            Input::Changed => tokens.changed_elsewhere(ctx),
            Input::Hinted(hint) => match hint.news {
                News::SignedOut => self.signed_out_elsewhere(hint.time, false),
                News::SignedOutInStore => self.signed_out_elsewhere(hint.time, true),
                News::NotStored => self.not_stored_elsewhere(hint.time),
                News::SignedIn => self.hints.signed_in_elsewhere(ctx, &hint),
            },
            Input::CallResponded { call, head } => calls.on_response(ctx, tokens, call, &head),
            Input::CallFailed { call } => calls.list.failed(ctx, call),
            Input::CallReflected { call } => calls.list.reflected(ctx, call),
            Input::CallClosed { call } => calls.list.closed(ctx, call),
            Input::CallUnsigned { call } => {
                if calls.unsigned(ctx, call) {
                    self.refresh_stopped(RefreshStep::KeyLost);
                }
            }
            Input::SocketProbed { call, is_blocked } => {
                let Calls { list, sockets, .. } = calls;
                if sockets.handle_probe(ctx, list, call, is_blocked) {
                    calls.send_or_wait(ctx, tokens, call);
                }
            }
            Input::SocketOpened { call, protocol } => {
                api_sockets::opened(ctx, &mut calls.list, call, &protocol);
            }
            Input::Tick => self.tick(),
            input => {
                self.operation_ended(input);
                self.tokens.prove_line(&mut self.ctx);
            }
        }
    }

    /// Handles the end of an operation, unless the vault no longer waits for that operation.
    fn operation_ended(&mut self, input: Input<'_>) {
        let op = match &input {
            Input::Responded { op, .. }
            | Input::Stored { op, .. }
            | Input::Overtaken { op }
            | Input::Taken { op, .. }
            | Input::Verified { op, .. }
            | Input::Loaded { op, .. }
            | Input::Locked { op }
            | Input::KeyMade { op, .. } => *op,
            _ => return,
        };
        let purpose = self.ctx.finish_operation(op);
        let Self { ctx, tokens, .. } = self;
        match (input, purpose) {
            (Input::Locked { .. }, None) => ctx.outputs.push(Output::Unlock),
            (_, None) => {}
            (Input::Responded { outcome, .. }, Some(purpose)) => {
                ctx.record_server_time(purpose, &outcome);
                ctx.observe_line(&outcome);
                tokens.provider.observe(purpose, &outcome);
                if !self.is_proven_again(op, purpose, &outcome) {
                    self.on_response(op, purpose, &outcome);
                }
            }
            (Input::Stored { ok, .. }, Some(purpose)) => self.stored(op, purpose, ok),
            (Input::Overtaken { .. }, Some(purpose)) => {
                let is_its = tokens.persistence.lock.is_writing(op);
                if is_its && tokens.persistence.lock_lost(ctx) {
                    // The host then does not report the loss again.
                    ctx.outputs.push(Output::Unlock);
                    self.try_later();
                }
                self.stored(op, purpose, false);
            }
            (Input::Taken { taken, .. }, Some(Purpose::TakeLogin)) => self.login_taken(op, &taken),
            (Input::Verified { valid, .. }, Some(Purpose::VerifyLogin)) => {
                self.advance_login(|callbacks, ctx, parts| {
                    callbacks.signature_checked(ctx, parts, op, valid)
                });
            }
            (Input::Verified { valid, .. }, Some(Purpose::VerifyRefresh)) => {
                let step = tokens.refresh.verified(ctx, op, valid);
                self.advance_refresh(step);
            }
            (Input::KeyMade { key, .. }, _) => {
                self.logins.key_made(ctx, &tokens.provider, op, key);
            }
            (
                Input::Taken { taken, .. },
                Some(purpose @ (Purpose::ReadUnlocked | Purpose::ReadLocked)),
            ) => {
                if let Some(stored) = tokens.persistence.mark_taken(purpose, &taken) {
                    self.read_done(purpose, stored);
                }
            }
            (Input::Loaded { loaded, .. }, Some(purpose)) => {
                if let Some(stored) = tokens.persistence.loaded(ctx, purpose, &loaded) {
                    self.read_done(purpose, stored);
                }
            }
            (Input::Locked { .. }, _) => tokens.locked(ctx),
            _ => {}
        }
    }

    /// Returns the next task for the host.
    pub fn poll(&mut self) -> Option<Output> {
        // There are few outputs, so the remaining ones are moved to the front.
        (!self.ctx.outputs.is_empty()).then(|| self.ctx.outputs.remove(0))
    }

    /// Returns the monotonic time at which an [`Input::Tick`] is due if no other input arrives earlier.
    #[must_use]
    pub fn next_tick(&self, now: Instant) -> Option<Millis> {
        let Self { ctx, tokens, .. } = self;
        let mut next = tokens.refresh.due().unwrap_or(Millis::MAX);
        let mut consider = |at: Millis| next = next.min(at);
        tokens
            .refresh
            .proof_due(ctx, &tokens.provider)
            .map(&mut consider);
        if self.is_beating() {
            ctx.line.beat_due().map(&mut consider);
        }
        tokens.persistence.due(ctx).map(&mut consider);
        self.escrow.due(ctx).map(&mut consider);
        tokens.provider.pin.due().map(&mut consider);
        ctx.for_each_deadline(&mut consider);
        let session = ctx.session.as_ref();
        if let Some(session) = session.filter(|_| !tokens.persistence.awaits_verdict(ctx)) {
            if let Some(left) = self.expiry_warning.due(ctx) {
                consider(now.monotonic + left);
            }
            // The refresh before a token expires needs its own tick: the token may expire before a page next reports
            // that the user is active.
            let fresh = session.until_stale(&now);
            if fresh > Millis::ZERO && session.is_renewed_ahead(&now) {
                consider(now.monotonic + fresh);
            }
        }
        if let Some(left) = self.until_upload_counts(now) {
            consider(now.monotonic + left);
        }
        self.hints.due(now.monotonic).map(&mut consider);
        tokens.revocations.for_each_retry(&mut consider);
        self.logins.for_each_deadline(&mut consider);
        self.calls.list.for_each_deadline(&mut consider);
        (next != Millis::MAX).then_some(next)
    }

    /// Returns true if the vault asks for a tick in each minute, so that it notices that the device has slept.
    fn is_beating(&self) -> bool {
        self.ctx.session.is_some() && !self.ctx.ports.is_empty()
    }

    // Pages.

    fn handle_message(&mut self, port: PortId, call: CallId, text: &str, body: Body) {
        let message = match PageMessage::parse(text) {
            Ok(message) => message,
            Err(unreadable) => {
                self.ctx.drop_call(call);
                return self.ctx.post_error(port, unreadable.id, &unreadable.error);
            }
        };
        let id = message.id;
        if !message.request.has_payload() {
            // A request of this kind has no body, but the page may have sent one.
            self.ctx.drop_call(call);
        }
        match message.request {
            Request::Hello { version, loaded } => self.hello(port, version, loaded),
            Request::Bye => {
                self.escrow.hand_over(&mut self.ctx);
                self.disconnected(port);
                self.ctx.outputs.push(Output::Close { port });
            }
            request if self.ctx.forget_port(port) => {
                // The page moves to the end of the list, so that the page that was silent for the longest time comes
                // first: see `pages::silent_page`.
                self.ctx.ports.push(port);
                self.handle_request((port, id), call, request, body);
            }
            _ => {
                self.ctx.drop_call(call);
                let why = msg!("the first message must be hello");
                self.ctx.decline(port, id, Code::MessageInvalid, why);
            }
        }
    }

    fn handle_request(
        &mut self,
        page: (PortId, RequestId),
        call: CallId,
        request: Request,
        body: Body,
    ) {
        let (port, id) = page;
        let Self {
            ctx, tokens, calls, ..
        } = self;
        match request {
            Request::Hello { .. } | Request::Bye => {}
            Request::Login(params) => {
                // The user need not sign in at a provider whose UserInfo endpoint cannot be asked.
                let address = tokens.provider.profile_address(ctx);
                if let Err(error) = address
                    && !tokens.provider.pin.is_in_use()
                {
                    return ctx.post_error(port, id, &error);
                }
                self.logins.begin(ctx, &tokens.provider, port, id, params);
            }
            Request::Cancel => self.logins.cancel(port, id),
            Request::Callback { url, may_repeat } => {
                if !initiated::respond(ctx, port, id, &url) {
                    let (provider, logins) = (&tokens.provider, &self.logins);
                    self.callbacks
                        .begin(ctx, provider, logins, (port, id), &url, may_repeat);
                }
            }
            Request::Fetch(request) => calls.fetch(ctx, tokens, page, call, &request, body),
            Request::Socket(request) => {
                let admitted = api_sockets::admit(ctx, &calls.list, page, call, request);
                calls.begin(ctx, tokens, page, call, admitted);
            }
            Request::Abort => {
                calls.list.abort(ctx, port, id);
                calls.stop_hurrying(&mut tokens.refresh);
            }
            Request::Logout {
                provider,
                return_to,
            } => {
                // The session ends before the address is made.
                let is_framed = ctx.framed.contains(&port);
                let sends_hint = provider && ctx.config.login.sends_id_token_hint && !is_framed;
                let session = ctx.session.as_deref().filter(|_| sends_hint);
                // Servers refuse longer addresses.
                let hint = session
                    .and_then(Session::latest_id_token)
                    .filter(|token| token.expose().len() <= LONGEST_HINT)
                    .cloned();
                let may_have_successor = tokens.refresh.may_have_successor();
                self.logout(LogoutRequest {
                    port,
                    id,
                    provider,
                    return_to,
                    hint,
                    may_have_successor,
                });
            }
            Request::Inspect => inspector::inspect(ctx, self.logins.pending(), port, id),
            Request::Active => {
                self.escrow.record_presence(ctx);
                tokens.user_is_active(ctx);
            }
            Request::Visible => self.page_visible(),
            Request::Hidden => self.page_hidden(),
            Request::Online => self.device_online(),
            Request::Offline => self.device_offline(),
        }
    }

    fn hello(&mut self, port: PortId, version: u64, loaded: UnixMillis) {
        if version != PROTOCOL {
            let why = msg!("page and worker are of different versions of strongroom");
            return self.refuse(port, Code::MessageInvalid, why);
        }
        if self.ctx.framed.contains(&port)
            && let Some(why) = self.ctx.config.login.refusal_in_frame()
        {
            return self.refuse(port, Code::ConfigInvalid, why);
        }
        self.hints.record_page(&self.ctx, loaded);
        self.ctx.forget_port(port);
        if self.ctx.ports.len() == MAX_PORTS
            && let Some(silent) = pages::silent_page(&self.ctx, &self.calls.list)
        {
            let why = msg!("256 other pages have connected since");
            self.refuse(silent, Code::LimitExceeded, why);
        }
        self.ctx.ports.push(port);
        self.escrow.record_presence(&mut self.ctx);
        if !self.ctx.is_loading() {
            pages::greet(&mut self.ctx, &self.hints, port);
        }
    }

    fn refuse(&mut self, port: PortId, code: Code, why: &str) {
        self.disconnected(port);
        self.ctx.post(port, failed(&Error::new(code, why)));
        self.ctx.outputs.push(Output::Close { port });
    }

    fn disconnected(&mut self, port: PortId) {
        self.ctx.forget_port(port);
        self.ctx.framed.retain(|known| *known != port);
        self.calls.list.forget_port(&mut self.ctx, port);
        self.calls.stop_hurrying(&mut self.tokens.refresh);
        self.logins.forget_port(port);
        self.callbacks.forget_port(port);
        self.logouts.forget_port(port);
    }

    // Operations and time.

    /// Handles the response to a request to the provider, unless pinned metadata may be to blame for it: see [`pin`].
    fn on_response(&mut self, op: OpId, purpose: Purpose, outcome: &Outcome) {
        let Self { ctx, tokens, .. } = self;
        if purpose == Purpose::ProveLine {
            let step = tokens.refresh.on_line_probe(ctx, outcome);
            return self.advance_refresh(step);
        }
        match tokens.provider.judge(ctx, (op, purpose), outcome) {
            Verdict::Held => {}
            Verdict::Unconfirmed => {
                self.apply_response(op, purpose, &pin::without_document(purpose, outcome));
            }
            Verdict::Outdated if self.send_to_new_endpoint(op, purpose) => {}
            _ => self.apply_response(op, purpose, outcome),
        }
    }

    /// Sends a request again, to the endpoint that the provider's document names. Returns false if nothing waits for its
    /// response.
    fn send_to_new_endpoint(&mut self, op: OpId, purpose: Purpose) -> bool {
        let Self { ctx, tokens, .. } = self;
        match purpose {
            Purpose::Keys => {
                tokens.provider.fetch_keys(ctx);
                true
            }
            Purpose::Push => self.logins.push_again(ctx, &tokens.provider, op),
            Purpose::Revoke => tokens.revocations.send_again(ctx, &tokens.provider, op),
            Purpose::Exchange | Purpose::AskProfile if self.callbacks.await_response(op) => {
                self.advance_login(|callbacks, ctx, parts| callbacks.send_again(ctx, parts, op));
                true
            }
            Purpose::Refresh => {
                let is_queued = tokens.refresh.requeue(ctx, op);
                if is_queued {
                    let start = match ctx.stores_sessions() {
                        // Another vault may have taken the lock over.
                        true => RefreshStart::Lock,
                        false => RefreshStart::Send,
                    };
                    tokens.start(ctx, start);
                }
                is_queued
            }
            _ => false,
        }
    }

    /// Handles a response that counts. For an operation that is not a request to the provider, `outcome` is
    /// [`Outcome::Failed`], and the operation was refused or its time limit has passed.
    fn apply_response(&mut self, op: OpId, purpose: Purpose, outcome: &Outcome) {
        let Self { ctx, tokens, .. } = self;
        match purpose {
            Purpose::Metadata => self.on_metadata(outcome),
            Purpose::Keys => self.on_keys(outcome),
            Purpose::Probe => {
                let step = tokens.refresh.on_probe(ctx, outcome);
                self.advance_refresh(step);
            }
            Purpose::Push | Purpose::ProbeForLogin => {
                self.logins
                    .pushed(ctx, &tokens.provider, op, purpose, outcome);
            }
            Purpose::Exchange | Purpose::AskProfile => {
                self.advance_login(|callbacks, ctx, parts| {
                    callbacks.responded(ctx, parts, (op, purpose), outcome)
                });
            }
            Purpose::Refresh => self.on_refresh_response(op, outcome),
            Purpose::AskDevice => self.logins.device_asked(ctx, op, outcome),
            Purpose::PollDevice => {
                self.advance_login(|callbacks, ctx, parts| {
                    let Parts {
                        provider,
                        dpop,
                        logins,
                    } = parts;
                    logins.device_polled(ctx, (provider, dpop), callbacks, op, outcome)
                });
            }
            Purpose::Revoke => {
                if let Some(is_revoked) = tokens.revocations.on_response(ctx, op, outcome) {
                    self.logouts.on_revocation(ctx, op, is_revoked);
                }
            }
            // The store did not respond within the time limit.
            Purpose::TakeLogin => self.login_taken(op, &Taken::Unavailable),
            Purpose::MakeKey => self.logins.key_made(ctx, &tokens.provider, op, None),
            Purpose::ReadUnlocked | Purpose::ReadLocked => {
                self.read_done(purpose, Stored::Unavailable);
            }
            Purpose::Lock => {
                if tokens.not_locked(ctx) {
                    self.refresh_not_locked(false);
                } else {
                    self.try_later();
                }
            }
            Purpose::Write | Purpose::PersistRefresh => {
                tokens.persistence.not_written();
                self.stored(op, purpose, false);
            }
            _ => self.stored(op, purpose, false),
        }
    }

    /// Handles the end of a write to the store.
    fn stored(&mut self, op: OpId, purpose: Purpose, ok: bool) {
        match purpose {
            Purpose::StoreLogin => self.logins.stored(&mut self.ctx, op, ok),
            Purpose::PersistRefresh => self.refresh_persisted(op, ok),
            Purpose::Write => {
                self.written(op, ok);
                self.tokens.proceed_after_write(&mut self.ctx);
            }
            Purpose::Mark => {
                if ok {
                    self.hints.sign_out_stored();
                    self.ctx.outputs.push(Output::Announce);
                }
                if !self.ctx.is_in_flight(Purpose::Mark) {
                    self.try_later();
                }
            }
            _ => {}
        }
    }

    fn page_visible(&mut self) {
        self.retry_soon();
    }

    /// Starts no refresh, and does not tick: a lid may be closing, or the page may be killed, so the response to a
    /// refresh might never arrive.
    fn page_hidden(&mut self) {
        self.escrow.record_presence(&mut self.ctx);
    }

    fn device_online(&mut self) {
        self.doubt_line(true);
        self.retry_soon();
    }

    /// Brings no attempt forward, because it would fail.
    fn device_offline(&mut self) {
        self.doubt_line(false);
    }

    fn doubt_line(&mut self, is_online: bool) {
        let now = self.ctx.now.monotonic;
        let doubt = self.ctx.line.page_reported(now, is_online);
        self.ctx.report_doubt(doubt);
    }

    fn retry_soon(&mut self) {
        self.escrow.record_presence(&mut self.ctx);
        self.tokens.refresh.schedule.retry_soon();
        self.tick();
    }

    fn tick(&mut self) {
        let now = self.ctx.now;
        while let Some((op, purpose)) = self.ctx.expire_operation() {
            self.ctx.observe_line(&Outcome::Failed);
            self.is_proven_again(op, purpose, &Outcome::Failed);
            self.on_response(op, purpose, &Outcome::Failed);
        }
        let Self { ctx, tokens, .. } = self;
        self.logins.expire(ctx);
        self.calls.list.expire(ctx);
        if ctx.config.login.has_device_flow {
            self.logins
                .poll_devices(ctx, &tokens.provider, &mut tokens.dpop);
        }
        tokens.tick(ctx);
        self.escrow.hand_over_on_time(ctx);
        if tokens.refresh.due().is_some_and(|at| at <= now.monotonic) {
            match tokens.refresh.stop_waiting(ctx) {
                Some(error) => {
                    let calls = &mut self.calls;
                    calls.give_up_all(ctx, &mut tokens.dpop, GiveUpReason::NoToken, &error);
                }
                None => tokens.start_refresh_of(ctx, tokens.refresh.targets.selected),
            }
        }
        if let Some(selector) = tokens.refresh.take_following(ctx, false) {
            tokens.start_refresh_of(ctx, selector);
        }
        tokens.prove_line(ctx);
        let is_needed =
            |session: &Session| session.is_stale(&now) && session.is_renewed_ahead(&now);
        if !ctx.is_in_doubt() && ctx.session.as_deref().is_some_and(is_needed) {
            tokens.start_refresh(ctx);
        }
    }

    // The provider and logins.

    fn on_metadata(&mut self, outcome: &Outcome) {
        let Self { ctx, tokens, .. } = self;
        if tokens.provider.repeats(ctx, Purpose::Metadata, outcome) {
            return;
        }
        let Some(result) = tokens.provider.on_metadata(ctx, outcome) else {
            return;
        };
        let mut revocation = None;
        match &result {
            Ok(()) => {
                if let Err(error) = tokens.provider.profile_address(ctx) {
                    self.logins.fail_waiting(ctx, &error);
                }
                self.logins.resume(ctx, &tokens.provider);
                self.callbacks.resume(ctx);
                tokens.resume_refresh(ctx);
                revocation = tokens.revocations.resume(ctx, &tokens.provider);
            }
            Err(_) => {
                let now = ctx.now.monotonic;
                tokens.revocations.metadata_failed(now);
                self.refresh_not_locked(provider::is_down(outcome));
            }
        }
        let Self { ctx, tokens, .. } = self;
        let awaits_store = tokens.persistence.has_unwritten_end(ctx);
        self.logouts
            .resume(ctx, &tokens.provider, revocation, awaits_store);
        if let Err(error) = result {
            self.logins.fail_waiting(ctx, &error);
            self.callbacks.fail_waiting(ctx, &mut self.logins, &error);
        }
        self.document_arrived();
    }

    /// Continues what waited for the provider's document because of pinned metadata, even if the document could not be
    /// fetched.
    fn document_arrived(&mut self) {
        let Self { ctx, tokens, .. } = self;
        let is_replaced = !tokens.provider.pin.is_in_use();
        if is_replaced {
            // A pinned endpoint that refused says nothing about the one in the document.
            self.logins.is_pushing_refused = false;
        } else {
            tokens.provider.pin.failed(ctx.now.monotonic);
        }
        let held = tokens.provider.pin.take_held();
        let has_keys = held.iter().any(|held| held.purpose == Purpose::Keys);
        if !has_keys && (self.callbacks.await_keys() || tokens.refresh.awaits_keys()) {
            tokens.provider.fetch_keys(ctx);
        }
        for Held {
            op,
            purpose,
            outcome,
        } in held
        {
            self.on_response(op, purpose, &outcome);
        }
    }

    fn on_keys(&mut self, outcome: &Outcome) {
        let Self { ctx, tokens, .. } = self;
        if tokens.provider.repeats(ctx, Purpose::Keys, outcome) {
            return;
        }
        let failure = self.tokens.provider.on_keys(outcome).err();
        let failure = failure.as_ref();
        for login in self.callbacks.take_waiting_for_keys() {
            self.advance_login(|callbacks, ctx, parts| {
                callbacks.resume_with_keys(ctx, parts, login, failure)
            });
        }
        let Tokens {
            provider, refresh, ..
        } = &mut self.tokens;
        let step = refresh.resume_verification(&mut self.ctx, provider, failure);
        self.advance_refresh(step);
        self.tokens.queue_refresh(&mut self.ctx);
    }

    fn login_taken(&mut self, op: OpId, taken: &Taken) {
        self.advance_login(|callbacks, ctx, parts| callbacks.taken(ctx, parts, op, taken));
    }

    /// Lets a login take a step.
    fn advance_login(
        &mut self,
        step: impl FnOnce(&mut Callbacks, &mut Context, Parts<'_>) -> CallbackOutcome,
    ) {
        let Tokens { provider, dpop, .. } = &mut self.tokens;
        let parts = Parts {
            provider,
            dpop,
            logins: &mut self.logins,
        };
        match step(&mut self.callbacks, &mut self.ctx, parts) {
            CallbackOutcome::None => {}
            // The unused tokens are not revoked: many providers would also revoke the tokens of the current session,
            // which belong to the same grant.
            CallbackOutcome::Unused(_) if self.ctx.session.is_some() => {}
            CallbackOutcome::Unused(tokens) => self.tokens.revoke_unused(&mut self.ctx, &tokens),
            CallbackOutcome::Verified(verified) => self.complete_login(*verified),
        }
    }

    /// Begins a session with the tokens of a login.
    fn complete_login(&mut self, verified: VerifiedLogin) {
        let VerifiedLogin {
            login,
            mut tokens,
            user,
            requested,
        } = verified;
        // The provider may leave `scope` out of the response if it granted the requested scope (RFC 6749 5.1).
        if let Some(requested) = login.pending.scope.as_deref() {
            tokens.scope.get_or_insert_with(|| requested.to_owned());
        }
        let current = self.ctx.session.as_deref();
        if current.is_some_and(|current| self.ctx.is_in_use(current, user.subject())) {
            // The grant may be another account's, so nothing is revoked.
            return login.refuse(&mut self.ctx, &mut self.logins);
        }
        self.calls.step_up.record_login(&self.ctx, &login.pending);
        let sid = self.ctx.new_sid();
        let session = Session::begin(user, tokens, &self.ctx.config.flow, requested, sid);
        let session = session
            .with_dpop_key(login.pending.dpop_key.clone())
            .with_requested_scope(login.pending.scope.clone());
        self.adopt_session(Box::new(session));
        if self.ctx.stores_sessions() && self.tokens.persistence.needs_save {
            self.callbacks.complete_when_stored(login);
            self.tokens.persistence.shorten_wait(&mut self.ctx);
        } else {
            let is_stored = self.tokens.persistence.is_in_store(&self.ctx);
            login.complete(&mut self.ctx, &mut self.logins, is_stored);
        }
    }

    /// Completes the logins whose session was to be stored first.
    fn complete_stored_logins(&mut self) {
        let is_stored = self.tokens.persistence.is_in_store(&self.ctx);
        self.callbacks
            .complete_stored(&mut self.ctx, &mut self.logins, is_stored);
    }

    /// Sends a token request again if its DPoP proof needs another nonce or another time. Returns true if the request
    /// was sent again.
    fn is_proven_again(&mut self, op: OpId, purpose: Purpose, outcome: &Outcome) -> bool {
        if !self.ctx.config.flow.uses_dpop {
            return false;
        }
        let Tokens {
            dpop,
            refresh,
            persistence,
            ..
        } = &mut self.tokens;
        let Some(sent) = dpop.on_response(&self.ctx, op, outcome) else {
            return false;
        };
        let is_wanted = match purpose {
            Purpose::Exchange | Purpose::AskProfile => {
                self.callbacks.sent_again(self.ctx.now, (op, purpose))
            }
            Purpose::PollDevice => self.logins.poll_sent_again(self.ctx.now, op),
            Purpose::Refresh => {
                let is_locked =
                    persistence.lock.is_held() && !persistence.must_lock_again(&self.ctx);
                let may_send = is_locked || !self.ctx.stores_sessions();
                may_send && refresh.sent_again(&self.ctx, op)
            }
            _ => true,
        };
        if is_wanted {
            dpop.repeat(&mut self.ctx, purpose, sent);
        }
        is_wanted
    }

    // Other vaults.

    /// Handles a sign-out in another vault at the time `at`. `is_stored` is true if the sign-out is or will be written
    /// to a store. Reads the store if `is_stored` is true, the store works, and the store has this vault's session.
    /// Otherwise ends the session, unless the session began after the sign-out, which is possible because a suspended
    /// vault receives the hint late.
    fn signed_out_elsewhere(&mut self, at: UnixMillis, is_stored: bool) {
        let Self { ctx, tokens, .. } = self;
        let unstored = (!is_stored).then_some(at);
        tokens.persistence.signed_out_while_loading(ctx, unstored);
        let has_stored = is_stored && tokens.persistence.is_in_store(ctx);
        match self.hints.signed_out_elsewhere(ctx, has_stored) {
            SignOut::ReadStore => return tokens.changed_elsewhere(ctx),
            SignOut::ReadStoreAt(at) => return tokens.persistence.read_at(at),
            SignOut::End => {}
        }
        // control: sign_out_elsewhere_ends_the_session
        if session_began_after(&self.ctx, at) {
            return;
        }
        self.callbacks.cancel();
        let was_elsewhere = self.ctx.elsewhere.replace(false);
        if self.ctx.session.is_some() {
            self.end_logged_out(at);
        } else if was_elsewhere != Some(false) {
            // If this vault started after the sign-in, it does not know that a user was signed in elsewhere, but its
            // pages may know.
            self.ctx.broadcast_session();
        }
    }

    /// Handles the hint that a sign-out in another vault, at the time `at`, could not be written to the store. Ends the
    /// session if the session began before the sign-out.
    fn not_stored_elsewhere(&mut self, at: UnixMillis) {
        if !self.ctx.stores_sessions() {
            return;
        }
        let persistence = &mut self.tokens.persistence;
        persistence.signed_out_while_loading(&mut self.ctx, Some(at));
        if self.ctx.session.is_some() && !session_began_after(&self.ctx, at) {
            self.end_logged_out(at);
        }
    }

    /// Ends the session because of a sign-out in another vault at the time `at`. The end also applies to the stored
    /// session, if that session began before this time.
    fn end_logged_out(&mut self, at: UnixMillis) {
        self.end_session(EndReason::of_logout(&self.ctx.config.flow));
        let at = self.ctx.now.back_to(at);
        self.tokens.persistence.limit_end(&at);
    }

    // The session.

    fn enforce_limits(&mut self) {
        let Context {
            session,
            config,
            now,
            ..
        } = &self.ctx;
        let session = session.as_deref();
        if let Some(reason) = session.and_then(|s| s.limit_reached(&config.flow.limits, now))
            && !self.tokens.persistence.doubts(&mut self.ctx, reason)
        {
            self.end_session(reason);
        }
    }

    /// Records that the user is active while an upload is in flight. A session that has reached its limit is over by now.
    fn record_uploads(&mut self) {
        if self.until_upload_counts(self.ctx.now) == Some(Millis::ZERO) {
            self.tokens.persistence.record_activity(&mut self.ctx);
        }
    }

    /// Returns the time until an upload in flight counts as activity again, or `None` if there is no upload.
    fn until_upload_counts(&self, now: Instant) -> Option<Millis> {
        let Self { ctx, calls, .. } = self;
        let session = ctx.session.as_deref().filter(|_| !ctx.is_in_doubt())?;
        let limits = &ctx.config.flow.limits;
        let left = || session.until_activity_due(limits, &now);
        calls.list.has_upload().then(left)
    }

    /// Ends the session. Returns the operation that revokes the session's refresh token, if there is one.
    fn end_session(&mut self, reason: EndReason) -> Option<OpId> {
        let had_session = self.ctx.session.is_some();
        let revocation = session_end::end(&mut self.ctx, &mut self.tokens, &mut self.calls, reason);
        if had_session && self.ctx.stores_sessions() {
            self.complete_stored_logins();
        }
        revocation
    }

    fn logout(&mut self, request: LogoutRequest) {
        let is_stored = self.tokens.persistence.is_in_store(&self.ctx);
        self.hints.announce_sign_out(&mut self.ctx, is_stored);
        // A page may log out before the first read of the store is complete. The logout then ends the session that is
        // still being read.
        let now = self.ctx.now.wall;
        self.tokens
            .persistence
            .signed_out_while_loading(&mut self.ctx, Some(now));
        self.callbacks.cancel();
        // The session ends before `return_to` is checked, so that it ends even if that address is refused.
        let reason = match request.provider {
            // The user is signed out at the provider, too, so the grant must end.
            true => EndReason::LoggedOut,
            // control: logout_leaves_the_grant_valid
            false => EndReason::of_logout(&self.ctx.config.flow),
        };
        let revocation = self.end_session(reason);
        let Self { ctx, tokens, .. } = self;
        let awaits_store = tokens.persistence.has_unwritten_end(ctx);
        let awaits_metadata = tokens.revocations.awaits_metadata();
        if awaits_metadata {
            // An earlier fetch may have failed.
            tokens.provider.fetch_metadata(ctx);
        }
        self.logouts.begin(
            ctx,
            &tokens.provider,
            request,
            revocation,
            awaits_store,
            awaits_metadata,
        );
    }

    /// Replaces the previous session, if any. The previous refresh token is revoked only if it belongs to another user:
    /// for the same user, many providers would also revoke the new refresh token, which belongs to the same grant.
    fn adopt_session(&mut self, mut session: Box<Session>) {
        let Self {
            ctx, tokens, calls, ..
        } = self;
        session.times.record_activity(&ctx.now);
        self.hints.announce_sign_in(ctx);
        if let Some(token) = session_end::replace(ctx, tokens, calls, session) {
            tokens.revoke(ctx, &token);
        }
        ctx.broadcast_session();
        ctx.trace_generation("login_completed");
        calls.release(ctx, tokens);
        if ctx.stores_sessions() {
            if ctx.is_loading() {
                // Pages need not wait for the first read of the store any longer, because this session replaces the
                // stored one.
                ctx.has_read_store = true;
                pages::greet_all(ctx, &self.hints);
            }
            tokens.persistence.begin_session();
            self.logouts.store_done(ctx);
            tokens.acquire_lock(ctx);
        }
    }

    // The refresh.

    fn on_refresh_response(&mut self, op: OpId, outcome: &Outcome) {
        let Self { ctx, tokens, .. } = self;
        let (provider, refresh) = (&tokens.provider, &mut tokens.refresh);
        match refresh.on_response(ctx, provider, op, outcome) {
            RefreshStep::Detached(None) => {}
            RefreshStep::Detached(Some(late)) => {
                if let Some(refresh_token) = &late.refresh_token {
                    tokens.revoke(ctx, refresh_token);
                }
            }
            step => {
                self.advance_refresh(step);
                self.tokens.proceed(&mut self.ctx);
            }
        }
    }

    /// Advances the refresh: response → ID token verified → successor persisted → adopted → waiting calls released →
    /// pages notified. The sequence stops where it has to wait for an input.
    fn advance_refresh(&mut self, mut step: RefreshStep) {
        let Self {
            ctx, tokens, calls, ..
        } = self;
        loop {
            step = match step {
                RefreshStep::Received(response, requested) => {
                    let (provider, refresh) = (&tokens.provider, &mut tokens.refresh);
                    refresh.verify(ctx, provider, response, requested)
                }
                RefreshStep::Verified(refreshed) => tokens.persist_refresh(ctx, refreshed),
                RefreshStep::Persisted(refreshed) => tokens.refresh.adopt(ctx, *refreshed),
                RefreshStep::Adopted => {
                    // control: waiting_calls_are_released
                    calls.release(ctx, tokens);
                    return ctx.broadcast_session();
                }
                RefreshStep::Expired(why) => {
                    // Without a refresh token, the session may end now.
                    self.enforce_limits();
                    let Self {
                        ctx, tokens, calls, ..
                    } = self;
                    match ctx.session.as_deref().map(Session::refresh_token) {
                        None => return,
                        Some(None) => {
                            calls.release(ctx, tokens);
                            return ctx.broadcast_session();
                        }
                        Some(Some(_)) => {}
                    }
                    // The refresh counts as failed, so that the next attempt waits. Otherwise, if new tokens expire
                    // before the response has arrived, each refresh would immediately start the next one.
                    let step = tokens.refresh.failed(ctx, why);
                    self.refresh_stopped(step);
                    return self.ctx.broadcast_session();
                }
                step => return self.refresh_stopped(step),
            }
        }
    }

    fn refresh_stopped(&mut self, step: RefreshStep) {
        let Self {
            ctx, tokens, calls, ..
        } = self;
        match step {
            RefreshStep::GiveUp(error) => {
                tokens.refresh.calls_given_up();
                calls.give_up_all(ctx, &mut tokens.dpop, GiveUpReason::NoToken, &error);
            }
            RefreshStep::TargetRefused(TargetRefusal {
                target,
                error,
                may_concern_session,
                ..
            }) => {
                calls.give_up_calls_for(ctx, &mut tokens.dpop, Some(target), &error);
                calls.stop_hurrying(&mut tokens.refresh);
                if may_concern_session {
                    tokens.start_refresh(ctx);
                }
                // Other calls may have waited for this refresh to end, because they need a refresh for another token.
                calls.resume(ctx, tokens);
            }
            // Without their key, the tokens cannot be used or refreshed (RFC 9449 5).
            RefreshStep::KeyLost => {
                // control: lost_key_ends_session
                self.end_session(EndReason::StorageLost);
            }
            RefreshStep::Ended(reason) => {
                self.end_session(reason);
            }
            RefreshStep::OtherUser(unused) => {
                tokens.revoke_unused(ctx, &unused);
                self.end_session(EndReason::Security);
            }
            RefreshStep::Unused(unused) => tokens.revoke_unused(ctx, &unused),
            _ => {}
        }
    }

    /// Handles the end of the write that stores the new tokens. Adopts the tokens even if the write failed, because the
    /// previous refresh token is consumed.
    fn refresh_persisted(&mut self, op: OpId, ok: bool) {
        if self.ctx.stores_sessions() {
            self.written(op, ok);
        }
        let step = self.tokens.refresh.persisted(op);
        self.advance_refresh(step);
        self.tokens.proceed_after_write(&mut self.ctx);
    }

    fn refresh_not_locked(&mut self, is_outage: bool) {
        let step = self.tokens.refresh.not_locked(&mut self.ctx, is_outage);
        self.advance_refresh(step);
    }

    // The store.

    /// Handles the result of a read of the store without the lock.
    fn unlocked_read_done(&mut self, stored: Stored) {
        let was_loading = self.ctx.is_loading();
        let is_unavailable = matches!(stored, Stored::Unavailable);
        let action = self
            .tokens
            .persistence
            .unlocked_read_done(&mut self.ctx, stored);
        match action {
            ReadAction::Superseded => return,
            ReadAction::Merge(stored) => {
                self.reconcile(stored);
                self.tokens.persistence.write_marks(&mut self.ctx);
                self.tokens.proceed(&mut self.ctx);
            }
            ReadAction::MergeEnd(stored) => {
                let merged = Tokens::merge_only_end(&self.ctx, stored);
                self.merged(merged);
                self.tokens.persistence.read_after_unlock();
            }
            ReadAction::Ignored => {}
        }
        let Self { ctx, tokens, .. } = self;
        if was_loading {
            pages::greet_all(ctx, &self.hints);
        }
        ctx.has_read_store = true;
        let is_refresh_sent = tokens.refresh.is_sent();
        tokens
            .persistence
            .plan_read(ctx, is_unavailable, is_refresh_sent);
    }

    /// Handles the result of a read of the store, with or without the lock.
    fn read_done(&mut self, purpose: Purpose, stored: Stored) {
        if purpose == Purpose::ReadUnlocked {
            return self.unlocked_read_done(stored);
        }
        let Self { ctx, tokens, .. } = self;
        tokens.persistence.hold_lock();
        if matches!(stored, Stored::Unavailable) {
            persistence::set_store_failing(ctx, true);
            if tokens.refresh.is_queued(ctx) && !tokens.persistence.may_be_in_store() {
                // The session was never stored, so no other vault can have refreshed it.
                return tokens.send_refresh(ctx);
            }
            // Another vault may have refreshed the session and stored it, so this vault must not send its refresh
            // token.
            self.try_later();
            self.tokens.persistence.unlock(&mut self.ctx);
            return self.resolve_doubt();
        }
        self.reconcile(stored);
        self.tokens.proceed(&mut self.ctx);
    }

    /// Merges the session with the content of the store.
    fn reconcile(&mut self, stored: Stored) {
        // The end in a read that is not merged has no effect yet, so it must not count as known.
        let stored = self.tokens.persistence.learn_end(&self.ctx, stored);
        let merged = self.tokens.merge(&mut self.ctx, stored);
        if merged.is_logout() {
            self.callbacks.cancel();
        }
        self.merged(merged);
        if !self.tokens.persistence.has_unwritten_end(&self.ctx) {
            self.hints.sign_out_stored();
            self.logouts.store_done(&mut self.ctx);
        }
        self.resolve_doubt();
    }

    fn merged(&mut self, merged: Merged) {
        let Self {
            ctx, tokens, calls, ..
        } = self;
        let mut is_new = false;
        match merged {
            Merged::Unchanged => return,
            Merged::Renewed => {}
            Merged::Replaced(theirs) => {
                let ours = ctx.session.as_deref();
                if ours.is_some_and(|ours| ctx.is_in_use(&theirs, ours.original().subject())) {
                    self.callbacks.refuse_unstored(ctx, &mut self.logins);
                }
                session_end::replace(ctx, tokens, calls, theirs);
                is_new = true;
                ctx.trace_generation("session_restored");
            }
            Merged::Ended(reason) => {
                let is_unstored = tokens.persistence.is_behind();
                if let Some(closed) = session_end::close(ctx, tokens, calls, reason) {
                    // The vault that has ended the session did not know this vault's tokens.
                    if is_unstored && let Some(token) = closed.token_to_revoke(ctx, reason) {
                        tokens.revoke(ctx, token);
                    }
                    tokens.persistence.ended_elsewhere();
                    self.complete_stored_logins();
                }
                return;
            }
            Merged::Overwritten(began) => {
                self.end_session(EndReason::of_logout(&self.ctx.config.flow));
                return self.tokens.persistence.limit_end(&began);
            }
            Merged::Recorded => {
                return self.complete_stored_logins();
            }
        }
        let limits = &ctx.config.flow.limits;
        let session = ctx.session.as_deref();
        if session.is_some_and(|s| s.limit_reached(limits, &ctx.now).is_none()) {
            ctx.broadcast_session();
            calls.release(ctx, tokens);
            if is_new {
                self.logins.complete_elsewhere(ctx);
            }
        }
    }

    /// Ends the session if it has reached a limit, now that the store was read or cannot be read. Otherwise, if the
    /// session was in doubt (see [`Context::doubt`]), it continues.
    fn resolve_doubt(&mut self) {
        let Self {
            ctx, tokens, calls, ..
        } = self;
        let doubt = ctx.doubt.take();
        let limits = &ctx.config.flow.limits;
        let session = ctx.session.as_deref();
        if let Some(reason) = session.and_then(|s| s.limit_reached(limits, &ctx.now)) {
            self.end_session(reason);
        } else if let Some(was_active) = doubt {
            if was_active {
                tokens.user_is_active(ctx);
            }
            calls.resume(ctx, tokens);
        }
    }

    /// Handles the end of a write under the lock.
    fn written(&mut self, op: OpId, ok: bool) {
        match self.tokens.persistence.written(&mut self.ctx, op, ok) {
            Written::Late => {}
            Written::Done { is_current } => {
                // The other vaults come first: a page may close when its login has ended, and a dedicated worker ends with its page.
                self.ctx.outputs.push(Output::Announce);
                self.logouts.store_done(&mut self.ctx);
                self.complete_stored_logins();
                if is_current {
                    self.hints.sign_out_stored();
                }
            }
            Written::Failed => {
                self.try_later();
                self.tokens.persistence.unlock_if_usable(&mut self.ctx);
            }
        }
    }

    /// Handles the loss of the lock to another vault, which happens while this one is frozen. Before the next change, the
    /// store is read under the lock. No token is revoked, because the provider may revoke the other vault's tokens with it.
    fn lock_lost(&mut self) {
        if self.tokens.persistence.lock_lost(&mut self.ctx) {
            self.try_later();
            self.tick();
        }
    }

    /// Plans another attempt after the lock was not granted, or the store could not be read or written. Logouts,
    /// callbacks and refreshes stop waiting for the store.
    fn try_later(&mut self) {
        self.hints.sign_out_not_stored(&mut self.ctx);
        self.tokens.persistence.plan_retry(&self.ctx);
        self.logouts.store_done(&mut self.ctx);
        self.complete_stored_logins();
        self.refresh_not_locked(false);
    }
}

/// Returns true if the session began after `at`, the time of a sign-out in another vault.
fn session_began_after(ctx: &Context, at: UnixMillis) -> bool {
    let Context { session, now, .. } = ctx;
    let session = session.as_deref();
    session.is_some_and(|session| session.times.began_after(&now.back_to(at), now))
}
