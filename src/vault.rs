//! The vault: the state machine of one browser worker.
//!
//! The host puts events in ([`Input`], always with the time) and carries out the tasks that come out ([`Output`]), until
//! [`Vault::poll`] has no more.
//!
//! Each part owns its state, takes the shared `Context`, and returns an outcome. This file routes outcomes between
//! the parts; `Vault::advance_refresh` is the sequence that matters most.
//!
//! - `context`: configuration, time, session, connected pages, operations in flight.
//! - `provider`: metadata and keys, fetched when they are first needed.
//! - `verification`: validation of an ID token.
//! - `login`: the authorization request. `login::pushed`: a request that goes to the provider first. `login::device`: a
//!   login on another device. `login::callback`: the authorization response and its exchange for tokens.
//! - `refresh`: the one refresh. `resource_tokens`: access tokens for single APIs.
//! - `api_calls`: requests of pages to APIs. `api_sockets`: their sockets. `step_up`: calls whose API asks for another
//!   authentication, or more scope.
//! - `session_end`: limits, logout, revocation.
//! - `persistence`: the session in a store that several vaults share.
//! - `hints`: sign-outs and sign-ins in other vaults, and the end of an outdated vault.
//! - `dpop`: proofs of possession of the key that tokens are bound to.
//! - `escrow`: the key of persisted sessions in a service worker.
//! - `inspector`: answers to the session inspector.
//! - `message`, `io`: messages, inputs and outputs.

mod api_calls;
#[cfg_attr(not(feature = "extended"), path = "vault/basic/api_sockets.rs")]
mod api_sockets;
mod context;
#[cfg_attr(not(feature = "extended"), path = "vault/basic/dpop.rs")]
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
mod refresh;
#[cfg_attr(not(feature = "extended"), path = "vault/basic/resource_tokens.rs")]
mod resource_tokens;
mod session_end;
#[cfg_attr(not(feature = "extended"), path = "vault/basic/step_up.rs")]
mod step_up;
mod verification;

use crate::prelude::*;

use crate::Secret;
use crate::base::clock::{Instant, Millis, UnixMillis};
use crate::base::error::{Code, Error, Result};
use crate::base::http::Outcome;
use crate::config::Config;
use crate::egress::policy::TokenSelector;
use crate::oauth::pushed_authorization::{self, PushOutcome};
use crate::oauth::token_endpoint::TokenSet;
use crate::session::{EndReason, Session};
use api_calls::call_list::Call;
use api_calls::{CallOutcome, Calls, Waiters};
use api_sockets::Sockets;
use context::{Context, HAS_PERSISTENCE, Purpose};
use hints::SignOut;
use login::callback::{CallbackOutcome, Callbacks, VerifiedLogin};
#[cfg(feature = "extended")]
use login::device::DeviceOutcome;
use login::in_flight::Logins;
#[cfg(feature = "extended")]
use message::SocketRequest;
use message::{FetchRequest, PROTOCOL, PageMessage, Request, message};
use refresh::{Refresh, RefreshStart, RefreshStep, Refreshed};
use resource_tokens::TargetRefusal;

use persistence::Persistence;
use persistence::reader::Stored;
use session_end::limits::ExpiryWarning;
use session_end::logout::{LogoutRequest, Logouts};
use session_end::revocation::Revocations;

pub use hints::channel as hints_channel;
pub use io::{
    ApiRequest, Body, CallId, Entropy, Hint, Input, Loaded, News, OpId, Output, PortId,
    ResponseHead, Taken,
};
pub use message::failed;

/// Largest number of pages that a vault serves.
pub const MAX_PORTS: usize = 256;

/// The state machine. See the [module](self).
pub struct Vault {
    ctx: Context,
    provider: provider::Provider,
    logins: Logins,
    callbacks: Callbacks,
    refresh: Refresh,
    calls: Calls,
    expiry_warning: ExpiryWarning,
    logouts: Logouts,
    revocations: Revocations,
    persistence: Persistence,
    hints: hints::Hints,
    #[cfg(feature = "extended")]
    escrow: escrow::Escrow,
    dpop: dpop::Dpop,
}

impl Vault {
    /// A vault without a session.
    #[must_use]
    pub fn new(mut config: Config, entropy: Box<dyn Entropy>) -> Self {
        let metadata = config.take_metadata();
        if let Some(metadata) = &metadata {
            config.rules.forbid(&metadata.endpoints());
        }
        Self {
            provider: provider::Provider::new(&config.issuer, metadata),
            ctx: Context::new(config, entropy),
            hints: hints::Hints::default(),
            logins: Logins::default(),
            callbacks: Callbacks::default(),
            refresh: Refresh::default(),
            calls: Calls::default(),
            expiry_warning: ExpiryWarning::default(),
            logouts: Logouts::default(),
            revocations: Revocations::default(),
            persistence: Persistence::default(),
            #[cfg(feature = "extended")]
            escrow: escrow::Escrow::default(),
            dpop: dpop::Dpop::default(),
        }
    }

    /// Handles an event.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        self.ctx.now = now;
        self.persistence.begin(&mut self.ctx);
        // control: limits_apply_at_every_input
        self.enforce_limits();
        match input {
            Input::Message {
                port,
                call,
                text,
                body,
            } => self.handle_message(port, call, text, body),
            Input::Disconnected { port } => self.disconnected(port),
            Input::Answered { op, outcome } => {
                if let Some(purpose) = self.ctx.finish_operation(op) {
                    self.ctx.record_server_time(purpose, &outcome);
                    #[cfg(feature = "extended")]
                    if self.is_proven_again(op, purpose, &outcome) {
                        return;
                    }
                    self.answered(op, purpose, &outcome);
                }
            }
            Input::Stored { op, ok } => match self.ctx.finish_operation(op) {
                Some(Purpose::StoreLogin) => self.logins.stored(&mut self.ctx, op, ok),
                Some(Purpose::PersistRefresh) if HAS_PERSISTENCE => {
                    self.refresh_persisted(op, ok);
                }
                Some(Purpose::Write) if HAS_PERSISTENCE => self.state_written(op, ok),
                Some(Purpose::Mark) if HAS_PERSISTENCE => self.marked(ok),
                _ => {}
            },
            Input::Taken { op, taken } => match self.ctx.finish_operation(op) {
                Some(purpose @ (Purpose::Look | Purpose::Read)) if HAS_PERSISTENCE => {
                    if let Some(stored) = self.persistence.mark_taken(purpose, &taken) {
                        self.has_read(purpose, stored);
                    }
                }
                Some(_) => self.login_taken(op, &taken),
                None => {}
            },
            Input::Verified { op, valid } => match self.ctx.finish_operation(op) {
                Some(Purpose::VerifyLogin) => {
                    let logins = &mut self.logins;
                    let outcome = self.callbacks.verified(&mut self.ctx, logins, op, valid);
                    self.callback_advanced(outcome);
                }
                Some(Purpose::VerifyRefresh) => {
                    let step = self.refresh.verified(&mut self.ctx, op, valid);
                    self.advance_refresh(step);
                }
                _ => {}
            },
            Input::Loaded { .. } | Input::Locked { .. } | Input::Changed if !HAS_PERSISTENCE => {}
            Input::Loaded { op, loaded } => {
                if let Some(purpose) = self.ctx.finish_operation(op) {
                    let stored = self.persistence.loaded(&mut self.ctx, purpose, &loaded);
                    if let Some(stored) = stored {
                        self.has_read(purpose, stored);
                    }
                }
            }
            Input::Locked { op } => match self.ctx.finish_operation(op) {
                Some(_) => self.locked(),
                // It was given up meanwhile.
                None => self.ctx.outputs.push(Output::Unlock),
            },
            Input::Changed => self
                .persistence
                .changed_elsewhere(&mut self.ctx, self.refresh.is_sent()),
            Input::Hinted(hint) => self.hinted(hint),
            Input::CallAnswered { call, head } => self.call_answered(call, &head),
            Input::CallFailed { call } => self.calls.list.failed(&mut self.ctx, call),
            Input::CallReflected { call } => self.calls.list.reflected(&mut self.ctx, call),
            Input::CallClosed { call } => self.calls.list.closed(&mut self.ctx, call),
            #[cfg(feature = "extended")]
            Input::KeyMade { op, key } => {
                if self.ctx.finish_operation(op).is_some() {
                    self.logins.key_made(&mut self.ctx, &self.provider, op, key);
                }
            }
            #[cfg(feature = "extended")]
            Input::CallUnsigned { call } => {
                if self.calls.unsigned(&mut self.ctx, call) {
                    self.end_without_key();
                }
            }
            #[cfg(feature = "extended")]
            Input::SocketProbed { call, is_blocked } => {
                let Calls { list, sockets, .. } = &mut self.calls;
                if sockets.handle_probe(&mut self.ctx, list, call, is_blocked) {
                    self.send_or_wait(call);
                }
            }
            #[cfg(feature = "extended")]
            Input::SocketOpened { call, protocol } => {
                Sockets::opened(&mut self.ctx, &mut self.calls.list, call, &protocol);
            }
            Input::Tick => self.tick(),
            Input::Woke => self.woke(),
        }
        self.expiry_warning.update(&mut self.ctx);
        self.make_room();
        #[cfg(feature = "extended")]
        self.discard_keys();
    }

    /// Returns the next task for the host.
    pub fn poll(&mut self) -> Option<Output> {
        // They are few, and a ring of them is 0.1 KB more than moving those that are left.
        (!self.ctx.outputs.is_empty()).then(|| self.ctx.outputs.remove(0))
    }

    /// Returns the monotonic time at which an [`Input::Tick`] is due if nothing else happens before.
    #[must_use]
    pub fn next_tick(&self, now: Instant) -> Option<Millis> {
        let mut next = self.refresh.due().unwrap_or(Millis::MAX);
        let mut consider = |at: Millis| next = next.min(at);
        self.persistence.due(&self.ctx).map(&mut consider);
        #[cfg(feature = "extended")]
        self.escrow.due(&self.ctx).map(&mut consider);
        self.ctx.for_each_deadline(&mut consider);
        if let Some(session) = self
            .ctx
            .session
            .as_ref()
            .filter(|_| !self.persistence.awaits_verdict(&self.ctx))
        {
            if let Some(left) = self.expiry_warning.due(&self.ctx) {
                consider(now.monotonic + left);
            }
            // A token may live for less than the time between two reports of the user's activity.
            let fresh = session.until_stale(&now);
            if fresh > Millis::ZERO && session.is_renewed_ahead(&now) {
                consider(now.monotonic + fresh);
            }
        }
        self.hints.due(now.monotonic).map(&mut consider);
        self.revocations.for_each_retry(&mut consider);
        self.logins.for_each_deadline(&mut consider);
        (next != Millis::MAX).then_some(next)
    }

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
            // The page may have sent a body that nobody uses.
            self.ctx.drop_call(call);
        }
        if let Request::Hello { version, loaded } = message.request {
            return self.hello(port, version, loaded);
        }
        if matches!(message.request, Request::Bye) {
            #[cfg(feature = "extended")]
            self.escrow.hand_over(&mut self.ctx);
            self.disconnected(port);
            return self.ctx.outputs.push(Output::Close { port });
        }
        if !self.ctx.forget_port(port) {
            self.ctx.drop_call(call);
            let why = msg!("the first message must be hello");
            return self.ctx.decline(port, id, Code::MessageInvalid, why);
        }
        // The page that was silent for the longest time comes first: see `evict`.
        self.ctx.ports.push(port);
        match message.request {
            Request::Hello { .. } | Request::Bye => {}
            Request::Login(params) => {
                self.logins
                    .begin(&mut self.ctx, &self.provider, port, id, params);
            }
            Request::Cancel => self.logins.cancel(port, id),
            Request::Callback { url } => {
                self.callbacks
                    .begin(&mut self.ctx, &self.provider, port, id, &url);
            }
            Request::Fetch(request) => self.fetch((port, id), call, &request, body),
            #[cfg(feature = "extended")]
            Request::Socket(request) => self.socket((port, id), call, request),
            Request::Abort => self.calls.list.abort(&mut self.ctx, port, id),
            Request::Logout {
                provider,
                return_to,
            } => self.logout(LogoutRequest {
                port,
                id,
                provider,
                return_to,
            }),
            Request::Inspect => inspector::inspect(&mut self.ctx, self.logins.pending(), port, id),
            Request::Active => {
                #[cfg(feature = "extended")]
                self.escrow.record_presence(&mut self.ctx);
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
        self.hints.record_page(&self.ctx, loaded);
        self.ctx.forget_port(port);
        if self.ctx.ports.len() == MAX_PORTS {
            self.evict();
        }
        self.ctx.ports.push(port);
        #[cfg(feature = "extended")]
        self.escrow.record_presence(&mut self.ctx);
        if !self.ctx.is_loading() {
            self.greet(port);
        }
    }

    fn greet(&mut self, port: PortId) {
        let mut ready = message("ready");
        ready.number("version", PROTOCOL);
        // Still loading: this page had to wait for what the store has.
        if self.ctx.is_loading() && self.ctx.session.is_some() {
            let is_escrowed = self.ctx.config.is_escrowed;
            ready.text("from", if is_escrowed { "escrow" } else { "storage" });
        }
        let text = self.ctx.session_message(&mut ready);
        self.ctx.post(port, text);
        if let Some(text) = self.hints.farewell() {
            self.ctx.post(port, text);
        }
    }

    /// Disconnects the page that was silent for the longest time, preferably one without a call: pages that crashed or
    /// were discarded could not say goodbye.
    fn evict(&mut self) {
        let is_idle = |port: &&PortId| !self.calls.list.has_calls(**port);
        if let Some(&port) = self
            .ctx
            .ports
            .iter()
            .find(is_idle)
            .or(self.ctx.ports.first())
        {
            let why = msg!("256 other pages have connected since");
            self.refuse(port, Code::LimitExceeded, why);
        }
    }

    fn refuse(&mut self, port: PortId, code: Code, why: &str) {
        self.disconnected(port);
        self.ctx.post(port, failed(&Error::new(code, why)));
        self.ctx.outputs.push(Output::Close { port });
    }

    fn disconnected(&mut self, port: PortId) {
        self.ctx.forget_port(port);
        self.calls.list.forget_port(&mut self.ctx, port);
        self.logins.forget_port(port);
        self.callbacks.forget_port(port);
        if HAS_PERSISTENCE {
            self.persistence.forget_port(port);
        }
        self.logouts.forget_port(port);
    }

    fn answered(&mut self, op: OpId, purpose: Purpose, outcome: &Outcome) {
        match purpose {
            Purpose::Metadata => self.metadata_answered(outcome),
            Purpose::Keys => self.keys_answered(outcome),
            Purpose::Probe => {
                let step = self.refresh.probe_answered(&mut self.ctx, outcome);
                self.advance_refresh(step);
            }
            Purpose::ProbeForLogin => {
                let is_reachable = provider::is_reachable(&self.ctx, outcome);
                self.login_pushed(op, pushed_authorization::after_probe(is_reachable));
            }
            Purpose::Exchange => {
                let (ctx, provider) = (&mut self.ctx, &self.provider);
                let logins = &mut self.logins;
                let outcome = self.callbacks.exchanged(ctx, provider, logins, op, outcome);
                self.callback_advanced(outcome);
            }
            Purpose::Refresh => self.refresh_answered(op, outcome),
            Purpose::Push => self.login_pushed(op, pushed_authorization::read(outcome)),
            #[cfg(feature = "extended")]
            Purpose::AskDevice => self.logins.device_asked(&mut self.ctx, op, outcome),
            #[cfg(feature = "extended")]
            Purpose::PollDevice => self.device_polled(op, outcome),
            Purpose::Revoke => self.revocation_answered(op, outcome),
            // Only when their time is over: the store is stuck.
            Purpose::StoreLogin => self.logins.stored(&mut self.ctx, op, false),
            Purpose::TakeLogin => self.login_taken(op, &Taken::Unavailable),
            #[cfg(feature = "extended")]
            Purpose::MakeKey => self
                .logins
                .key_made(&mut self.ctx, &self.provider, op, None),
            _ if !HAS_PERSISTENCE => {}
            Purpose::Look | Purpose::Read => self.has_read(purpose, Stored::Unavailable),
            Purpose::Mark => self.marked(false),
            Purpose::Write => {
                #[cfg(feature = "extended")]
                self.persistence.not_written();
                self.state_written(op, false);
            }
            Purpose::PersistRefresh => {
                #[cfg(feature = "extended")]
                self.persistence.not_written();
                self.refresh_persisted(op, false);
            }
            Purpose::Lock => self.not_locked(),
            _ => {}
        }
    }

    fn woke(&mut self) {
        #[cfg(feature = "extended")]
        self.escrow.record_presence(&mut self.ctx);
        self.refresh.schedule.retry_soon();
        self.tick();
    }

    fn tick(&mut self) {
        let now = self.ctx.now;
        let is_over = |at: Millis| at <= now.monotonic;
        while let Some((op, purpose)) = self.ctx.expire_operation() {
            #[cfg(feature = "extended")]
            self.is_proven_again(op, purpose, &Outcome::Failed);
            self.answered(op, purpose, &Outcome::Failed);
        }
        self.logins.expire(&mut self.ctx);
        #[cfg(feature = "extended")]
        self.logins
            .poll_devices(&mut self.ctx, &self.provider, &mut self.dpop);
        self.revocations.retry(&mut self.ctx);
        self.keep_on_time();
        #[cfg(feature = "extended")]
        self.escrow.hand_over_on_time(&mut self.ctx);
        if self.refresh.due().is_some_and(is_over) {
            self.start_refresh_of(self.refresh.targets.selected);
        }
        let is_needed =
            |session: &Session| session.is_stale(&now) && session.is_renewed_ahead(&now);
        if !self.ctx.is_in_doubt() && self.ctx.session.as_deref().is_some_and(is_needed) {
            self.start_refresh();
        }
    }

    // Routing of outcomes.

    fn login_pushed(&mut self, op: OpId, pushed: PushOutcome) {
        self.logins
            .pushed(&mut self.ctx, &self.provider, op, pushed);
    }

    fn metadata_answered(&mut self, outcome: &Outcome) {
        let Some(result) = self.provider.metadata_answered(&mut self.ctx, outcome) else {
            return;
        };
        match &result {
            Ok(()) => {
                self.logins.resume(&mut self.ctx, &self.provider);
                self.callbacks.resume(&mut self.ctx);
                let start = self.refresh.resume(&mut self.ctx, &self.provider);
                self.start(start);
                self.revocations.resume(&mut self.ctx, &self.provider);
            }
            Err(_) => self.refresh_not_locked(),
        }
        let awaits_store = self.persistence.has_end_to_keep(&self.ctx);
        self.logouts
            .resume(&mut self.ctx, &self.provider, awaits_store);
        if let Err(error) = result {
            self.logins.fail_waiting(&mut self.ctx, &error);
            self.callbacks
                .fail_waiting(&mut self.ctx, &mut self.logins, &error);
        }
    }

    fn keys_answered(&mut self, outcome: &Outcome) {
        let failure = self.provider.keys_answered(outcome).err();
        for callback in self.callbacks.take_waiting_for_keys() {
            let outcome = self.callbacks.resume_verification(
                &mut self.ctx,
                &self.provider,
                &mut self.logins,
                callback,
                failure.as_ref(),
            );
            self.callback_advanced(outcome);
        }
        let (ctx, provider) = (&mut self.ctx, &self.provider);
        let step = self
            .refresh
            .resume_verification(ctx, provider, failure.as_ref());
        self.advance_refresh(step);
        let start = self.refresh.queue(&self.ctx);
        self.start(start);
    }

    fn login_taken(&mut self, op: OpId, taken: &Taken) {
        self.callbacks.taken(
            &mut self.ctx,
            &self.provider,
            &mut self.logins,
            &mut self.dpop,
            op,
            taken,
        );
    }

    fn callback_advanced(&mut self, outcome: CallbackOutcome) {
        match outcome {
            CallbackOutcome::None => {}
            CallbackOutcome::Unused(tokens) => self.refuse_grant(&tokens),
            CallbackOutcome::Verified(verified) => self.complete_login(*verified),
        }
    }

    /// Begins a session with the tokens of a login.
    fn complete_login(&mut self, verified: VerifiedLogin) {
        let VerifiedLogin {
            login,
            tokens,
            id_token,
            requested,
        } = verified;
        #[cfg(feature = "extended")]
        let tokens = {
            // RFC 6749 5.1: left out if it is the requested scope.
            let mut tokens = tokens;
            tokens.scope = tokens
                .scope
                .take()
                .or_else(|| login.pending.scope().map(str::to_owned));
            tokens
        };
        self.calls.step_up.record_login(&self.ctx, &login.pending);
        let sid = self.ctx.new_sid();
        let session = Session::begin(id_token, tokens, &self.ctx.config, requested, sid);
        #[cfg(feature = "extended")]
        let session = session.bound_to(login.pending.key().cloned());
        self.adopt_session(Box::new(session));
        self.settle_when_kept(login);
    }

    #[cfg(feature = "extended")]
    fn device_polled(&mut self, op: OpId, outcome: &Outcome) {
        let (ctx, provider) = (&mut self.ctx, &self.provider);
        match self.logins.device_polled(ctx, provider, op, outcome) {
            DeviceOutcome::None => {}
            DeviceOutcome::Unused(tokens) => self.refuse_grant(&tokens),
            DeviceOutcome::Granted(key, pending, verification) => {
                let logins = &mut self.logins;
                let outcome = self.callbacks.begin_detached(
                    ctx,
                    provider,
                    logins,
                    key,
                    pending,
                    verification,
                );
                self.callback_advanced(outcome);
            }
        }
    }

    /// Revokes tokens of a failed login. Not beside a session: many providers would revoke its tokens, which are of the
    /// same grant, as well.
    fn refuse_grant(&mut self, tokens: &TokenSet) {
        if self.ctx.session.is_none() {
            self.revoke_unused(tokens);
        }
    }

    fn revoke(&mut self, refresh_token: &Secret) -> Option<OpId> {
        self.revocations
            .revoke(&mut self.ctx, &self.provider, refresh_token)
    }

    fn revoke_unused(&mut self, tokens: &TokenSet) {
        self.revocations
            .revoke_unused(&mut self.ctx, &self.provider, tokens);
    }

    fn revocation_answered(&mut self, op: OpId, outcome: &Outcome) {
        if let Some(is_revoked) = self.revocations.answered(&mut self.ctx, op, outcome) {
            self.logouts
                .revocation_answered(&mut self.ctx, op, is_revoked);
        }
    }

    /// Sends a token request again if its proof needs another nonce or time. Returns true if it was sent.
    #[cfg(feature = "extended")]
    fn is_proven_again(&mut self, op: OpId, purpose: Purpose, outcome: &Outcome) -> bool {
        let Some(sent) = self.dpop.answered(&self.ctx, op, outcome) else {
            return false;
        };
        let is_wanted = match purpose {
            Purpose::Exchange => self.callbacks.exchange_sent_again(&self.ctx, op),
            Purpose::Refresh => self.refresh.sent_again(&self.ctx, op),
            _ => true,
        };
        if is_wanted {
            self.dpop.repeat(&mut self.ctx, purpose, sent);
        }
        is_wanted
    }

    /// Tells the host which keys are still needed.
    #[cfg(feature = "extended")]
    fn discard_keys(&mut self) {
        if !self.ctx.config.binds_tokens() {
            return;
        }
        let session = self.ctx.session.as_deref();
        let sessions = session
            .into_iter()
            .chain(self.persistence.sessions_being_read());
        let keys = sessions.filter_map(Session::key);
        let keys = keys.chain(self.logins.keys()).chain(self.callbacks.keys());
        let names = keys.map(|key| key.thumbprint().to_owned()).collect();
        self.dpop.keep_keys(&mut self.ctx, names);
    }

    /// Ends the session because its key is gone: its tokens are useless, and it cannot be refreshed (RFC 9449 5).
    #[cfg(feature = "extended")]
    fn end_without_key(&mut self) {
        // control: lost_key_ends_session
        self.end_session(EndReason::StorageLost);
    }

    // Other vaults.

    fn hinted(&mut self, hint: Hint) {
        match hint.news {
            News::SignedOut => self.signed_out_elsewhere(false),
            News::SignedOutInStore => self.signed_out_elsewhere(true),
            News::NotStored => self.not_stored_elsewhere(hint.loaded),
            News::SignedIn => self.hints.signed_in_elsewhere(&mut self.ctx, &hint),
        }
    }

    fn signed_out_elsewhere(&mut self, is_stored: bool) {
        let at = (!is_stored).then_some(self.ctx.now.wall);
        self.persistence.signed_out_while_loading(&mut self.ctx, at);
        let has_stored = is_stored && self.persistence.is_in_store(&self.ctx);
        match self.hints.signed_out_elsewhere(&self.ctx, has_stored) {
            SignOut::Look => {
                return self
                    .persistence
                    .changed_elsewhere(&mut self.ctx, self.refresh.is_sent());
            }
            SignOut::LookAt(at) => return self.persistence.look_at(at),
            SignOut::End => {}
        }
        self.callbacks.cancel();
        let was_elsewhere = self.ctx.elsewhere.replace(false);
        if self.ctx.session.is_some() {
            self.end_session(EndReason::LoggedOut);
        } else if was_elsewhere != Some(false) {
            // A vault that started after the sign-in does not know of it, but its pages may.
            self.ctx.broadcast_session();
        }
    }

    /// Ends a session that began before `at`: no store has its end.
    fn not_stored_elsewhere(&mut self, at: UnixMillis) {
        if !self.ctx.keeps() {
            return;
        }
        self.persistence
            .signed_out_while_loading(&mut self.ctx, Some(at));
        let session = self.ctx.session.as_ref();
        let session = session.map(|session| *session.beginning());
        if let Some(began) = session.filter(|began| began.wall <= at) {
            self.end_session(EndReason::LoggedOut);
            self.persistence.end_none_after(&began);
        }
    }

    fn make_room(&mut self) {
        let may_stop = self.persistence.is_up_to_date(&self.ctx);
        if self.hints.make_room(&mut self.ctx, may_stop) {
            self.ctx.session = None;
            self.refresh.end(&mut self.ctx);
            self.ctx.outputs.push(Output::Stop);
        }
    }

    // The session.

    fn enforce_limits(&mut self) {
        let session = self.ctx.session.as_deref();
        if let Some(reason) =
            session.and_then(|s| s.limit_reached(&self.ctx.config.limits, &self.ctx.now))
            && !self.persistence.doubts(&mut self.ctx, reason)
        {
            self.end_session(reason);
        }
    }

    /// The user does something in a page. A token that is about to expire is renewed before it is needed.
    fn user_is_active(&mut self) {
        let is_stale = |session: &Session| session.is_stale(&self.ctx.now);
        let is_stale = self.ctx.session.as_deref().is_some_and(is_stale);
        if self.touch() && is_stale {
            self.start_refresh();
        }
    }

    /// Records that the user did something. Returns false if that may be too late: it is in doubt if the session is
    /// alive.
    fn touch(&mut self) -> bool {
        let counts = self.persistence.record_activity(&mut self.ctx);
        if let Some(session) = self.ctx.session.as_mut().filter(|_| counts) {
            session.touch(&self.ctx.now);
        }
        counts
    }

    /// Ends the session. Returns the operation that revokes its refresh token, if there is one.
    fn end_session(&mut self, reason: EndReason) -> Option<OpId> {
        let (session, successor) = self.close_session(reason)?;
        let token = successor.as_ref().or(session.refresh_token());
        let token = token.filter(|_| reason.calls_for_revocation());
        if self.ctx.keeps() && matches!(reason, EndReason::Idle | EndReason::Absolute) {
            self.record_end(&session, reason, token.cloned());
            return None;
        }
        let revocation = token.and_then(|token| self.revoke(token));
        self.record_end(&session, reason, None);
        revocation
    }

    /// Closes the session for all pages. Returns it, and the successor of its refresh token if it has not adopted that.
    fn close_session(&mut self, reason: EndReason) -> Option<(Box<Session>, Option<Secret>)> {
        let session = self.ctx.session.take()?;
        self.ctx.end_reason = Some(reason);
        let successor = self.refresh.end(&mut self.ctx);
        self.ctx.broadcast_session();
        self.ctx.trace("session_ended", Some(reason.as_str()));
        let message = [msg!("the session has ended: "), reason.as_str()];
        let error = Error::of(Code::SessionEnded, &message);
        self.calls
            .give_up_all(&mut self.ctx, &mut self.dpop, Waiters::SessionEnded, &error);
        Sockets::close(&mut self.ctx, &mut self.calls.list, Some(reason));
        Some((session, successor))
    }

    fn logout(&mut self, request: LogoutRequest) {
        let is_stored = self.persistence.is_in_store(&self.ctx);
        self.hints.announce_sign_out(&mut self.ctx, is_stored);
        // A page that does not wait to be greeted signs out of the session that is still being read.
        let now = self.ctx.now.wall;
        self.persistence
            .signed_out_while_loading(&mut self.ctx, Some(now));
        self.callbacks.cancel();
        // The session ends even if the address to go to is refused.
        let revocation = self.end_session(EndReason::LoggedOut);
        let awaits_store = self.persistence.has_end_to_keep(&self.ctx);
        self.logouts.begin(
            &mut self.ctx,
            &self.provider,
            request,
            revocation,
            awaits_store,
        );
    }

    /// A new session takes the place of the one before, if any. That one's refresh token is revoked
    /// only if it is another user's: for the same user, many providers would revoke the new one, of
    /// the same grant, along with it.
    fn adopt_session(&mut self, mut session: Box<Session>) {
        session.touch(&self.ctx.now);
        self.hints.announce_sign_in(&mut self.ctx);
        if let Some(token) = self.replace_session(session) {
            self.revoke(&token);
        }
        self.ctx.broadcast_session();
        self.ctx.trace_generation("login_completed");
        self.release_calls();
        self.save();
    }

    // The refresh.

    /// Starts a refresh for the session's own token, unless one is in flight, none is possible, or it is too early.
    fn start_refresh(&mut self) {
        self.start_refresh_of(TokenSelector::default());
    }

    /// Starts a refresh for one of the session's tokens.
    fn start_refresh_of(&mut self, selector: TokenSelector) {
        if self.refresh.choose(&self.ctx, selector) {
            self.begin_refresh();
        }
    }

    /// Starts a refresh for a call that needs a token. Returns an error if the call should not wait for it.
    fn await_refresh_of(&mut self, selector: TokenSelector) -> Result<()> {
        self.refresh.prepare(&self.ctx, selector)?;
        self.begin_refresh();
        self.refresh.should_wait(&self.ctx)
    }

    fn begin_refresh(&mut self) {
        let start = self.refresh.begin(&mut self.ctx, &self.provider);
        self.start(start);
    }

    fn start(&mut self, start: RefreshStart) {
        match start {
            RefreshStart::No => {}
            RefreshStart::Send => self.send_refresh(),
            // control: refresh_takes_the_lock
            RefreshStart::Lock => self.want_lock(),
        }
    }

    fn send_refresh(&mut self) {
        let (ctx, provider) = (&mut self.ctx, &self.provider);
        if !self.refresh.send(ctx, provider, &mut self.dpop) {
            self.proceed();
        }
    }

    fn refresh_answered(&mut self, op: OpId, outcome: &Outcome) {
        let (ctx, provider) = (&mut self.ctx, &self.provider);
        match self.refresh.answered(ctx, provider, op, outcome) {
            RefreshStep::Detached(None) => {}
            RefreshStep::Detached(Some(tokens)) => self.revoke_unused(&tokens),
            step => {
                self.advance_refresh(step);
                self.proceed();
            }
        }
    }

    /// Advances the refresh: response → ID token verified → successor persisted → adopted → waiting calls released →
    /// pages notified. It stops where it has to wait for an input.
    fn advance_refresh(&mut self, mut step: RefreshStep) {
        loop {
            step = match step {
                RefreshStep::Received(tokens, requested) => {
                    let (ctx, provider) = (&mut self.ctx, &self.provider);
                    self.refresh.verify(ctx, provider, tokens, requested)
                }
                RefreshStep::Verified(refreshed) => self.persist_refresh(refreshed),
                RefreshStep::Persisted(refreshed) => self.refresh.adopt(&mut self.ctx, *refreshed),
                RefreshStep::Adopted => {
                    // control: waiting_calls_are_released
                    self.release_calls();
                    return self.ctx.broadcast_session();
                }
                RefreshStep::Expired => {
                    // It counts as a failure: if tokens expire within the time of a request, each attempt would cause
                    // the next.
                    let why = msg!("the new access token expired on its way");
                    let step = self.refresh.failed(&mut self.ctx, why);
                    self.advance_refresh(step);
                    return self.ctx.broadcast_session();
                }
                step => return self.refresh_stopped(step),
            }
        }
    }

    fn refresh_stopped(&mut self, step: RefreshStep) {
        match step {
            RefreshStep::GiveUp(error) => {
                self.calls
                    .give_up_all(&mut self.ctx, &mut self.dpop, Waiters::All, &error);
            }
            RefreshStep::TargetRefused(TargetRefusal {
                selector,
                error,
                may_concern_session,
                ..
            }) => {
                self.calls
                    .give_up_calls_for(&mut self.ctx, &mut self.dpop, selector, &error);
                if may_concern_session {
                    self.start_refresh();
                }
                // Calls that waited for their turn.
                self.resume_calls();
            }
            #[cfg(feature = "extended")]
            RefreshStep::KeyLost => self.end_without_key(),
            RefreshStep::Ended(reason) => {
                self.end_session(reason);
            }
            RefreshStep::OtherUser(tokens) => {
                self.revoke_unused(&tokens);
                self.end_session(EndReason::Security);
            }
            RefreshStep::Unused(tokens) => self.revoke_unused(&tokens),
            _ => {}
        }
    }

    /// Persists the successor before it is used.
    fn persist_refresh(&mut self, refreshed: Box<Refreshed>) -> RefreshStep {
        let Some(session) = &self.ctx.session else {
            return RefreshStep::Unused(refreshed.tokens);
        };
        if !HAS_PERSISTENCE {
            // A session in memory has nothing to wait for.
            return RefreshStep::Persisted(refreshed);
        }
        let kept = self.ctx.keeps().then(|| {
            let Refreshed {
                tokens,
                id_token,
                requested,
            } = &*refreshed;
            let (config, now) = (&self.ctx.config, &self.ctx.now);
            let targets = &self.refresh.targets;
            targets.serialize_renewed(session, tokens, id_token.as_ref(), requested, config, now)
        });
        // If the store hangs, the tokens are adopted in the end.
        let patience = self.ctx.now.monotonic + self.ctx.config.request_timeout;
        let deadline = kept.is_some().then_some(patience);
        let op = self.ctx.begin_operation(Purpose::PersistRefresh, deadline);
        self.refresh.persisting(op, refreshed);
        match kept {
            Some(state) => {
                self.persistence.fall_behind();
                // control: adoption_waits_for_the_store
                self.persistence.keep(&mut self.ctx, op, state);
            }
            // control: adoption_waits_for_persistence
            None => self.ctx.outputs.push(Output::Persist {
                op,
                state: None,
                expires_at: 0,
                #[cfg(feature = "extended")]
                key_pair: None,
            }),
        }
        RefreshStep::Wait
    }

    /// Adopts the successor even if it could not be stored: the refresh token in memory is the only good one.
    fn refresh_persisted(&mut self, op: OpId, ok: bool) {
        if self.ctx.keeps() {
            self.written(op, ok);
        }
        let step = self.refresh.persisted(op);
        self.advance_refresh(step);
        self.proceed_after_writing();
    }

    fn refresh_not_locked(&mut self) {
        let step = self.refresh.not_locked(&mut self.ctx);
        self.advance_refresh(step);
    }

    fn state_written(&mut self, op: OpId, ok: bool) {
        self.written(op, ok);
        self.proceed_after_writing();
    }

    // Calls.

    fn fetch(&mut self, page: (PortId, u64), call: CallId, request: &FetchRequest, body: Body) {
        let (port, id) = page;
        let admitted = self.calls.admit(&self.ctx, port, id, call, request, body);
        // control: background_requests_are_not_activity
        if !request.background && admitted.is_ok() {
            self.touch();
        }
        self.begin_call(page, call, admitted);
    }

    #[cfg(feature = "extended")]
    fn socket(&mut self, page: (PortId, u64), call: CallId, request: SocketRequest) {
        let admitted = Sockets::admit(&self.ctx, &self.calls.list, page, call, request);
        self.begin_call(page, call, admitted);
    }

    /// Begins a call, or tells its page why not.
    fn begin_call(&mut self, page: (PortId, u64), call: CallId, admitted: Result<Box<Call>>) {
        match admitted {
            Ok(admitted) => {
                self.calls.list.calls.push(admitted);
                self.send_or_wait(call);
            }
            Err(error) => {
                self.ctx.post_error(page.0, page.1, &error);
                self.ctx.drop_call(call);
            }
        }
    }

    fn send_or_wait(&mut self, call: CallId) {
        if self.ctx.is_in_doubt() {
            return;
        }
        let which = self.calls.list.selector_of(call);
        let Some(session) = &self.ctx.session else {
            return;
        };
        let (has_token, is_stale) = (
            session.access_token_of(which, &self.ctx.now).is_some(),
            session.is_stale_of(which, &self.ctx.now),
        );
        if has_token {
            self.send_call(call);
            if is_stale {
                self.start_refresh_of(which);
            }
            return;
        }
        match self.await_refresh_of(which) {
            Ok(()) => self.ctx.trace_call("call_waiting", call, None, None),
            Err(error) => self.calls.list.reject(&mut self.ctx, call, &error),
        }
    }

    fn send_call(&mut self, call: CallId) {
        if !self.calls.send(&mut self.ctx, &mut self.dpop, call) {
            // The token has expired in the meantime. The next one releases the call.
            self.start_refresh_of(self.calls.list.selector_of(call));
        }
    }

    /// Continues the calls that waited: there may be a token now, or it is time to request one.
    fn resume_calls(&mut self) {
        for call in self.calls.list.waiting() {
            if self.calls.list.can_resume(&self.ctx, call) {
                self.send_or_wait(call);
            }
        }
        // The refresh that they waited for may have been another vault's.
        for which in self.calls.list.held() {
            if !self.ctx.is_in_doubt() {
                self.await_refresh_of_held(which);
            }
        }
    }

    /// Starts a refresh for calls with a 401, or gives them up.
    fn await_refresh_of_held(&mut self, which: TokenSelector) {
        let Err(error) = self.await_refresh_of(which) else {
            return;
        };
        let (ctx, dpop) = (&mut self.ctx, &mut self.dpop);
        if which != TokenSelector::default() {
            return self.calls.give_up_calls_for(ctx, dpop, which, &error);
        }
        self.calls.give_up_all(ctx, dpop, Waiters::All, &error);
    }

    /// Sends every call that waited for a token.
    fn release_calls(&mut self) {
        #[cfg(feature = "extended")]
        if !self.ctx.config.rules.targets().is_empty() {
            return self.resume_calls();
        }
        if self.ctx.keeps() {
            let has_token = |s: &Session| s.access_token(&self.ctx.now).is_some();
            if self.ctx.is_in_doubt() || !self.ctx.session.as_deref().is_some_and(has_token) {
                return self.resume_calls();
            }
        }
        for call in self.calls.list.waiting() {
            self.send_call(call);
        }
    }

    fn call_answered(&mut self, call: CallId, head: &ResponseHead) {
        let (ctx, refresh) = (&mut self.ctx, &mut self.refresh);
        match self
            .calls
            .answered(ctx, refresh, &mut self.dpop, call, head)
        {
            CallOutcome::Done => {}
            CallOutcome::Repeat => self.send_or_wait(call),
            CallOutcome::Hold { generation, head } => self.hold_call(call, generation, head),
        }
    }

    /// Holds a 401 back until a refresh is over.
    fn hold_call(&mut self, call: CallId, generation: u64, head: String) {
        let which = self.calls.list.selector_of(call);
        let is_renewed = |s: &Session| {
            s.issued(which) > generation && s.access_token_of(which, &self.ctx.now).is_some()
        };
        let is_renewed = self.ctx.session.as_deref().is_some_and(is_renewed);
        if !is_renewed && !self.refresh.admits_401(&self.ctx.now) {
            return self.calls.list.deliver(&mut self.ctx, call, head);
        }
        self.calls.list.hold(call, generation, head);
        if self.ctx.is_in_doubt() {
            return;
        }
        if is_renewed {
            return self.send_call(call);
        }
        self.await_refresh_of_held(which);
    }
}
