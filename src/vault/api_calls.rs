//! Requests of pages to APIs: decided on, sent with the token of the moment, and delivered.
//!
//! A call waits only if there is no valid access token. After a 401 it waits for one refresh and is
//! sent once more, if its body can be; until then the host keeps the 401, which is delivered after
//! all if nothing better comes.

use crate::Secret;
use crate::base::error::{Code, Error, Result};
use crate::egress::policy::{Allowed, TokenSelector};
use crate::oauth::token_endpoint::Scheme;
use crate::prelude::*;
#[cfg(feature = "extended")]
use crate::vault::api_sockets::Socket;
#[cfg(feature = "extended")]
use crate::vault::dpop::{Proven, key_lost};
use crate::vault::list;
use crate::vault::message::{FetchRequest, message};
use crate::vault::{ApiRequest, Body, CallId, Output, PortId, ResponseHead, Vault};

/// Most calls at once of one page, so that it leaves the others some.
const MAX_CALLS_OF_A_PAGE: usize = 512;
/// Most calls at once, over all pages.
pub(super) const MAX_CALLS: usize = 1024;

/// A request of a page.
pub(super) struct Call {
    pub(super) call: CallId,
    pub(super) port: PortId,
    pub(super) id: u64,
    pub(super) allowed: Allowed,
    /// See [`ApiRequest::init`].
    pub(super) init: String,
    pub(super) body: Body,
    pub(super) stage: Stage,
    pub(super) was_retried: bool,
    /// Sent in a session that is over.
    pub(super) is_orphan: bool,
    /// What is opened, if it is no request that is sent.
    #[cfg(feature = "extended")]
    pub(super) socket: Option<Box<Socket>>,
    #[cfg(feature = "extended")]
    pub(super) proven: Proven,
}

pub(super) enum Stage {
    /// For a valid access token.
    Waiting,
    /// With the access token of this generation.
    Sent {
        generation: u64,
    },
    /// The API said 401; this is what to tell the page if that stands.
    Held {
        head: String,
        /// Which token it was said to.
        generation: u64,
    },
    Delivered,
}

/// Which calls give up on the refresh.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiters {
    /// Those that wait for a token fail; those with a 401 in hand get that.
    All,
    /// The session is over: all of them fail.
    SessionEnded,
}

impl Vault {
    pub(super) fn fetch(
        &mut self,
        (port, id): (PortId, u64),
        call: CallId,
        request: &FetchRequest,
        body: Body,
    ) {
        let admitted = self.admit(port, id, call, request, body);
        self.begin_call((port, id), call, admitted);
    }

    /// Begins a call, or tells its page why not.
    pub(super) fn begin_call(
        &mut self,
        (port, id): (PortId, u64),
        call: CallId,
        admitted: Result<Box<Call>>,
    ) {
        match admitted {
            Ok(admitted) => {
                self.calls.push(admitted);
                self.send_or_wait(call);
            }
            Err(error) => {
                self.ctx.post_error(port, id, &error);
                self.ctx.drop_call(call);
            }
        }
    }

    fn admit(
        &mut self,
        port: PortId,
        id: u64,
        call: CallId,
        request: &FetchRequest,
        body: Body,
    ) -> Result<Box<Call>> {
        let allowed = self
            .ctx
            .config
            .rules
            .authorize(&request.url, &request.method)?;
        let rules = &self.ctx.config.rules;
        rules.check_headers(&allowed, &request.headers())?;
        self.find_room(port, id)?;
        if self.ctx.session.is_none() {
            return Err(self.ctx.no_session());
        }
        if !request.background {
            self.touch();
        }
        let init = request.init(allowed.caches());
        Ok(Box::new(Call {
            call,
            port,
            id,
            allowed,
            init,
            body,
            stage: Stage::Waiting,
            was_retried: false,
            is_orphan: false,
            #[cfg(feature = "extended")]
            socket: None,
            #[cfg(feature = "extended")]
            proven: Proven::default(),
        }))
    }

    /// Whether a page may have one more call under this number.
    pub(super) fn find_room(&self, port: PortId, id: u64) -> Result<()> {
        let of_this_page = self.calls.iter().filter(|call| call.port == port).count();
        if self.calls.len() >= MAX_CALLS || of_this_page >= MAX_CALLS_OF_A_PAGE {
            let message = msg!("512 calls of this page, or 1024 of all, are in flight already");
            return Err(Error::new(Code::LimitExceeded, message));
        }
        if self.calls.iter().any(|c| c.port == port && c.id == id) {
            let message = msg!("a call with this id is in flight");
            return Err(Error::new(Code::MessageInvalid, message));
        }
        Ok(())
    }

    pub(super) fn send_or_wait(&mut self, call: CallId) {
        if self.is_in_doubt() {
            return;
        }
        let which = self.which(call);
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
            Err(error) => self.reject_call(call, &error),
        }
    }

    /// Which token goes along with a call.
    #[cfg(feature = "extended")]
    pub(super) fn which(&self, call: CallId) -> TokenSelector {
        let known = self.calls.iter().find(|c| c.call == call)?;
        known.allowed.token_selector()
    }

    #[cfg(not(feature = "extended"))]
    #[expect(clippy::unused_self, reason = "there is but one")]
    const fn which(&self, _: CallId) -> TokenSelector {
        TokenSelector
    }

    fn send_call(&mut self, call: CallId) {
        let which = self.which(call);
        let Some(session) = &self.ctx.session else {
            return;
        };
        if session.access_token_of(which, &self.ctx.now).is_none() {
            // It expired on its way here. What comes in its place releases the call.
            return self.start_refresh_of(which);
        }
        #[cfg(feature = "extended")]
        if self.open_socket(call) {
            return;
        }
        #[cfg(feature = "extended")]
        let proof = {
            let Some(known) = list::find(&mut self.calls, |c| c.call == call) else {
                return;
            };
            self.dpop
                .prove_call(&mut self.ctx, &known.allowed, &mut known.proven)
        };
        #[cfg(feature = "extended")]
        let Some(session) = &self.ctx.session else {
            return;
        };
        let generation = session.issued(which);
        let Some(token) = session.latest_access_token_of(which) else {
            return;
        };
        let scheme = match self.ctx.config.scheme() {
            Scheme::Bearer => "Bearer ",
            #[cfg(feature = "extended")]
            Scheme::Dpop => "DPoP ",
        };
        let authorization = Secret::new([scheme, token.expose()].concat());
        let searched = session.tokens_to_search(which, &self.ctx.now);
        let is_inspected = self.ctx.is_inspected();
        let Some(known) = list::find(&mut self.calls, |c| c.call == call) else {
            return;
        };
        let event = if matches!(known.stage, Stage::Held { .. }) {
            known.was_retried = true;
            "call_retried"
        } else {
            "call_sent"
        };
        known.stage = Stage::Sent { generation };
        let detail = is_inspected.then(|| known.allowed.description());
        self.ctx.outputs.push(Output::Call {
            call,
            port: known.port,
            id: known.id,
            request: Box::new(ApiRequest {
                allowed: known.allowed.clone(),
                authorization,
                searched,
                #[cfg(feature = "extended")]
                proof,
                init: known.init.clone(),
            }),
        });
        self.ctx.trace_call(event, call, None, detail.as_deref());
    }

    /// Takes up the calls that waited: there may be a token now, or it is time to get one.
    pub(super) fn resume_calls(&mut self) {
        for call in self.waiting_calls() {
            let session = self.ctx.session.as_deref();
            // Those with a 401 in hand need another token than the one that was refused.
            let can_go = |c: &Call| match c.stage {
                Stage::Held { generation, .. } => {
                    Some(generation) < session.map(|s| s.issued(c.allowed.token_selector()))
                }
                _ => true,
            };
            if self.calls.iter().any(|c| c.call == call && can_go(c)) {
                self.send_or_wait(call);
            }
        }
        // The refresh that they waited for may have been another vault's.
        let is_held = |c: &Call| matches!(c.stage, Stage::Held { .. });
        let held = self.calls.iter().filter(|c| is_held(c));
        let held: Vec<TokenSelector> = held.map(|c| c.allowed.token_selector()).collect();
        for which in held {
            if !self.is_in_doubt()
                && let Err(error) = self.await_refresh_of(which)
            {
                self.give_up_calls_for(which, &error);
            }
        }
    }

    /// No token will come for the time being.
    #[cfg(not(feature = "extended"))]
    fn give_up_calls_for(&mut self, _: TokenSelector, error: &Error) {
        self.give_up_calls(Waiters::All, error);
    }

    /// Sends every call that waited for a token.
    pub(super) fn release_calls(&mut self) {
        #[cfg(feature = "extended")]
        if !self.ctx.config.rules.targets().is_empty() {
            return self.resume_calls();
        }
        if self.ctx.keeps() {
            let has_token = |s: &crate::session::Session| s.access_token(&self.ctx.now).is_some();
            if self.is_in_doubt() || !self.ctx.session.as_deref().is_some_and(has_token) {
                return self.resume_calls();
            }
        }
        for call in self.waiting_calls() {
            self.send_call(call);
        }
    }

    /// No token will come for the time being.
    pub(super) fn give_up_calls(&mut self, waiters: Waiters, error: &Error) {
        let waiting = self.waiting_calls();
        self.give_up(&waiting, waiters, error);
    }

    pub(super) fn give_up(&mut self, calls: &[CallId], waiters: Waiters, error: &Error) {
        for &call in calls {
            // While the old token is good, nobody needs a new one.
            let which = self.which(call);
            let is_usable =
                |s: &crate::session::Session| s.access_token_of(which, &self.ctx.now).is_some();
            let is_usable = self.ctx.session.as_deref().is_some_and(is_usable);
            let Some(known) = list::find(&mut self.calls, |c| c.call == call) else {
                continue;
            };
            match core::mem::replace(&mut known.stage, Stage::Waiting) {
                Stage::Held { head, .. } if waiters == Waiters::All => self.deliver(call, head),
                // What it waits for is whether the session is alive.
                Stage::Waiting if is_usable && self.is_in_doubt() => {}
                Stage::Waiting if is_usable => self.send_call(call),
                _ => self.reject_call(call, error),
            }
        }
    }

    /// The session is over that the calls under way were sent in. What comes is delivered, but none
    /// is sent again with the token of another session.
    pub(super) fn orphan_calls(&mut self) {
        for call in &mut self.calls {
            match &mut call.stage {
                Stage::Sent { .. } => call.is_orphan = true,
                // Whichever token the new session has is another than the one that was refused.
                Stage::Held { generation, .. } => *generation = 0,
                _ => {}
            }
        }
    }

    fn waiting_calls(&self) -> Vec<CallId> {
        let mut waiting = Vec::new();
        for call in &self.calls {
            if matches!(call.stage, Stage::Waiting | Stage::Held { .. }) {
                waiting.push(call.call);
            }
        }
        waiting
    }

    /// Sends a call again if its API asks for another nonce. Returns true if the call was sent.
    #[cfg(feature = "extended")]
    fn is_call_proven_again(&mut self, call: CallId, head: &ResponseHead) -> bool {
        if !self.ctx.config.dpop {
            return false;
        }
        let has_session = self.ctx.session.is_some();
        let is_it = |c: &Call| c.call == call && matches!(c.stage, Stage::Sent { .. });
        let Some(known) = list::find(&mut self.calls, is_it) else {
            return false;
        };
        let can_repeat = known.body == Body::Replayable && !known.is_orphan && has_session;
        let url = known.allowed.url();
        let proven = &mut known.proven;
        if !self.dpop.call_answered(url, proven, head, can_repeat) {
            return false;
        }
        known.stage = Stage::Waiting;
        self.ctx.trace_call(
            "call_answered",
            call,
            Some(head.status),
            Some("use_dpop_nonce"),
        );
        self.send_or_wait(call);
        true
    }

    /// Rejects a call that could not be sent because the key for its proof is gone.
    #[cfg(feature = "extended")]
    pub(super) fn call_unsigned(&mut self, call: CallId) {
        let is_orphan = self.calls.iter().any(|c| c.call == call && c.is_orphan);
        self.reject_call(call, &key_lost(Code::SessionEnded));
        if !is_orphan {
            self.end_without_key();
        }
    }

    pub(super) fn call_answered(&mut self, call: CallId, head: &ResponseHead) {
        #[cfg(feature = "extended")]
        if self.is_call_proven_again(call, head) {
            return;
        }
        let Some(known) = self.calls.iter().find(|c| c.call == call) else {
            return self.ctx.drop_call(call);
        };
        let Stage::Sent { generation } = known.stage else {
            return;
        };
        let is_worth_a_refresh = self.is_worth_a_refresh(known, generation, head);
        let was_retried = known.was_retried && !known.is_orphan;
        let text = head_text(known.id, head);
        self.ctx
            .trace_call("call_answered", call, Some(head.status), None);
        if head.status == 0 {
            let message = msg!("the API answered with a redirect");
            self.reject_call(call, &Error::new(Code::RedirectBlocked, message));
        } else if is_worth_a_refresh {
            self.hold(call, generation, text);
        } else {
            if head.status == 401 && was_retried {
                let known = self.renewal.refused_generation;
                self.renewal.refused_generation = known.max(Some(generation));
            }
            #[cfg(feature = "extended")]
            if self.steps_up(call, head) {
                return;
            }
            self.deliver(call, text);
        }
    }

    /// RFC 6750 3.1: a 401 means that the token was refused, unless the API says that it wants
    /// something that no refresh brings.
    fn is_worth_a_refresh(&self, call: &Call, generation: u64, head: &ResponseHead) -> bool {
        let Some(session) = self.ctx.session.as_deref().filter(|_| head.status == 401) else {
            return false;
        };
        let challenge = head.www_authenticate.as_deref().unwrap_or_default();
        // As bytes: the search for a text in a text is 2 KB of code.
        let says = |error: &str| {
            let mut places = challenge.as_bytes().windows(error.len());
            places.any(|place| place == error.as_bytes())
        };
        let wants_more = says("insufficient_scope") || says("insufficient_user_authentication");
        #[cfg(feature = "extended")]
        let wants_more = wants_more || says("invalid_dpop_proof") || says("use_dpop_nonce");
        let can_repeat = !call.was_retried && !call.is_orphan && call.body == Body::Replayable;
        let is_renewed_already = session.issued(call.allowed.token_selector()) > generation;
        let can_renew = session.refresh_token().is_some()
            && !session.interaction_required()
            && self.renewal.refused_generation != Some(generation);
        can_repeat && !wants_more && (is_renewed_already || can_renew)
    }

    fn hold(&mut self, call: CallId, generation: u64, head: String) {
        let which = self.which(call);
        let is_renewed = |s: &crate::session::Session| {
            s.issued(which) > generation && s.access_token_of(which, &self.ctx.now).is_some()
        };
        let is_renewed = self.ctx.session.as_deref().is_some_and(is_renewed);
        if !is_renewed && !self.renewal.admits_401(&self.ctx.now) {
            return self.deliver(call, head);
        }
        if let Some(known) = list::find(&mut self.calls, |c| c.call == call) {
            known.stage = Stage::Held { head, generation };
        }
        if self.is_in_doubt() {
            return;
        }
        if is_renewed {
            return self.send_call(call);
        }
        if let Err(error) = self.await_refresh_of(which) {
            self.give_up_calls_for(which, &error);
        }
    }

    pub(super) fn deliver(&mut self, call: CallId, text: String) {
        if let Some(known) = list::find(&mut self.calls, |c| c.call == call) {
            known.stage = Stage::Delivered;
            self.ctx.outputs.push(Output::Deliver { call, text });
        }
    }

    pub(super) fn call_failed(&mut self, call: CallId) {
        let Some(known) = self.forget_call(call) else {
            return;
        };
        if !matches!(known.stage, Stage::Delivered) {
            let text = message("network_error").number("id", known.id).finish();
            self.ctx.post(known.port, text);
            self.ctx
                .trace_call("call_answered", call, None, Some("no answer"));
        }
        self.ctx.drop_call(call);
    }

    /// What of the answer the page has not got, it does not get.
    pub(super) fn call_reflected(&mut self, call: CallId) {
        let message = msg!("the API's answer has the access token in it");
        self.reject_call(call, &Error::new(Code::TokenReflected, message));
        self.ctx.drop_call(call);
    }

    pub(super) fn call_closed(&mut self, call: CallId) {
        self.forget_call(call);
        self.ctx.drop_call(call);
    }

    pub(super) fn abort(&mut self, port: PortId, id: u64) {
        if let Some(known) = list::take(&mut self.calls, |c| c.port == port && c.id == id) {
            self.ctx.drop_call(known.call);
        }
    }

    pub(super) fn has_calls(&self, port: PortId) -> bool {
        self.calls.iter().any(|call| call.port == port)
    }

    pub(super) fn forget_calls_of(&mut self, port: PortId) {
        while let Some(known) = list::take(&mut self.calls, |c| c.port == port) {
            self.ctx.drop_call(known.call);
        }
    }

    pub(super) fn reject_call(&mut self, call: CallId, error: &Error) {
        if let Some(known) = self.forget_call(call) {
            self.ctx.post_error(known.port, known.id, error);
            self.ctx.drop_call(call);
        }
    }

    pub(super) fn forget_call(&mut self, call: CallId) -> Option<Box<Call>> {
        list::take(&mut self.calls, |c| c.call == call)
    }
}

fn head_text(id: u64, head: &ResponseHead) -> String {
    message("head")
        .number("id", id)
        .number("status", head.status.into())
        .text("statusText", &head.status_text)
        .text("url", &head.url)
        .flag("redirected", head.redirected)
        .flag("body", head.has_body)
        .finish()
}
