//! Requests of pages to APIs: checked, sent with the current token, and delivered.
//!
//! A call waits only if there is no valid access token. After a 401 it waits for one refresh and is
//! sent once more, if its body can be; until then the host keeps the 401, which is delivered after
//! all if nothing better comes.

use crate::Secret;
use crate::base::error::{Code, Error, Result};
use crate::egress::policy::{Allowed, TokenSelector};
use crate::oauth::token_endpoint::Scheme;
use crate::oauth::www_authenticate;
use crate::prelude::*;
#[cfg(feature = "extended")]
use crate::vault::api_sockets::Socket;
use crate::vault::context::Context;
use crate::vault::dpop::Dpop;
#[cfg(feature = "extended")]
use crate::vault::dpop::{Proven, key_lost};
use crate::vault::io::{ApiRequest, Body, CallId, Output, PortId, ResponseHead};
use crate::vault::list::{self, List};
use crate::vault::message::{FetchRequest, message};
use crate::vault::refresh::Refresh;
#[cfg(feature = "extended")]
use crate::vault::step_up::SteppedUp;

/// Largest number of calls of one page, so that the others can make some.
const MAX_CALLS_OF_A_PAGE: usize = 512;
/// Largest number of calls in flight, over all pages.
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
    pub(super) stage: CallStage,
    pub(super) was_retried: bool,
    /// True if the call was sent in a session that is over.
    pub(super) is_detached: bool,
    /// The socket to open, if the call is not a request.
    #[cfg(feature = "extended")]
    pub(super) socket: Option<Box<Socket>>,
    #[cfg(feature = "extended")]
    pub(super) proven: Proven,
}

pub(super) enum CallStage {
    /// Waits for a valid access token.
    Waiting,
    /// Sent with the access token of this generation.
    Sent {
        generation: u64,
    },
    /// Answered with a 401. `head` is the message for the page if no retry succeeds.
    Held {
        head: String,
        /// The generation of the refused token.
        generation: u64,
    },
    Delivered,
}

/// The calls that give up on the refresh.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiters {
    /// Those that wait for a token fail; those with a 401 in hand get that.
    All,
    /// The session is over: all of them fail.
    SessionEnded,
}

/// Calls in flight, sockets among them.
#[derive(Default)]
pub(super) struct Calls {
    pub(super) list: List<Call>,
    /// Addresses of sockets that the worker's policy allows: see `api_sockets`.
    #[cfg(feature = "extended")]
    pub(super) probed: Vec<String>,
    #[cfg(feature = "extended")]
    pub(super) stepped_up: Option<SteppedUp>,
}

/// The result of a response to a call.
pub(super) enum CallOutcome {
    /// The response was handled.
    Done,
    /// The call is to be sent again with another nonce.
    #[cfg(feature = "extended")]
    Repeat,
    /// The API refused the token of this generation: the response is held back until a refresh is over.
    Hold { generation: u64, head: String },
}

impl Calls {
    /// Checks a request, and lists it as a call that waits.
    pub(super) fn admit(
        &self,
        ctx: &Context,
        port: PortId,
        id: u64,
        call: CallId,
        request: &FetchRequest,
        body: Body,
    ) -> Result<Box<Call>> {
        let allowed = ctx.config.rules.authorize(&request.url, &request.method)?;
        let rules = &ctx.config.rules;
        rules.check_headers(&allowed, &request.headers())?;
        self.find_room(port, id)?;
        if ctx.session.is_none() {
            return Err(ctx.no_session());
        }
        let init = request.init(allowed.caches());
        Ok(Box::new(Call {
            call,
            port,
            id,
            allowed,
            init,
            body,
            stage: CallStage::Waiting,
            was_retried: false,
            is_detached: false,
            #[cfg(feature = "extended")]
            socket: None,
            #[cfg(feature = "extended")]
            proven: Proven::default(),
        }))
    }

    /// Returns an error if a page may not have another call, or not with this number.
    pub(super) fn find_room(&self, port: PortId, id: u64) -> Result<()> {
        let of_this_page = self.list.iter().filter(|call| call.port == port).count();
        if self.list.len() >= MAX_CALLS || of_this_page >= MAX_CALLS_OF_A_PAGE {
            let message = msg!("512 calls of this page, or 1024 of all, are in flight already");
            return Err(Error::new(Code::LimitExceeded, message));
        }
        if self.list.iter().any(|c| c.port == port && c.id == id) {
            let message = msg!("a call with this id is in flight");
            return Err(Error::new(Code::MessageInvalid, message));
        }
        Ok(())
    }

    /// Returns the selector of the token that a call needs.
    #[cfg(feature = "extended")]
    pub(super) fn which(&self, call: CallId) -> TokenSelector {
        let known = self.list.iter().find(|c| c.call == call)?;
        known.allowed.token_selector()
    }

    #[cfg(not(feature = "extended"))]
    #[expect(clippy::unused_self, reason = "there is but one")]
    pub(super) const fn which(&self, _: CallId) -> TokenSelector {
        TokenSelector
    }

    pub(super) fn give_up(
        &mut self,
        ctx: &mut Context,
        dpop: &mut Dpop,
        calls: &[CallId],
        waiters: Waiters,
        error: &Error,
    ) {
        for &call in calls {
            // While the old token is good, nobody needs a new one.
            let which = self.which(call);
            let is_usable =
                |s: &crate::session::Session| s.access_token_of(which, &ctx.now).is_some();
            let is_usable = ctx.session.as_deref().is_some_and(is_usable);
            let Some(known) = list::find(&mut self.list, |c| c.call == call) else {
                continue;
            };
            match core::mem::replace(&mut known.stage, CallStage::Waiting) {
                CallStage::Held { head, .. } if waiters == Waiters::All => {
                    self.deliver(ctx, call, head);
                }
                // What it waits for is whether the session is alive.
                CallStage::Waiting if is_usable && ctx.is_in_doubt() => {}
                CallStage::Waiting if is_usable => {
                    self.send(ctx, dpop, call);
                }
                _ => self.reject(ctx, call, error),
            }
        }
    }

    /// Detaches calls from a session that is over. Their responses are delivered, but none is sent again with the token
    /// of another session.
    pub(super) fn detach(&mut self) {
        for call in &mut self.list {
            match &mut call.stage {
                CallStage::Sent { .. } => call.is_detached = true,
                // Whichever token the new session has is another than the one that was refused.
                CallStage::Held { generation, .. } => *generation = 0,
                _ => {}
            }
        }
    }

    pub(super) fn waiting(&self) -> Vec<CallId> {
        let mut waiting = Vec::new();
        for call in &self.list {
            if matches!(call.stage, CallStage::Waiting | CallStage::Held { .. }) {
                waiting.push(call.call);
            }
        }
        waiting
    }

    /// Sends a call with the access token. Returns false if the token has expired.
    pub(super) fn send(&mut self, ctx: &mut Context, dpop: &mut Dpop, call: CallId) -> bool {
        let which = self.which(call);
        let Some(session) = &ctx.session else {
            return true;
        };
        if session.access_token_of(which, &ctx.now).is_none() {
            return false;
        }
        #[cfg(feature = "extended")]
        if self.open_socket(ctx, call) {
            return true;
        }
        #[cfg(feature = "extended")]
        let proof = {
            let Some(known) = list::find(&mut self.list, |c| c.call == call) else {
                return true;
            };
            dpop.prove_call(ctx, &known.allowed, &mut known.proven)
        };
        #[cfg(not(feature = "extended"))]
        let _ = dpop;
        let Some(session) = &ctx.session else {
            return true;
        };
        let generation = session.issued(which);
        // control: api_gets_its_own_token
        let Some(token) = session.latest_access_token_of(which) else {
            return true;
        };
        let scheme = match ctx.config.scheme() {
            Scheme::Bearer => "Bearer ",
            Scheme::Dpop => "DPoP ",
        };
        let authorization = Secret::new([scheme, token.expose()].concat());
        let searched = session.tokens_to_search(which, &ctx.now);
        let is_inspected = ctx.is_inspected();
        let Some(known) = list::find(&mut self.list, |c| c.call == call) else {
            return true;
        };
        let event = if matches!(known.stage, CallStage::Held { .. }) {
            known.was_retried = true;
            "call_retried"
        } else {
            "call_sent"
        };
        known.stage = CallStage::Sent { generation };
        let detail = is_inspected.then(|| known.allowed.description());
        ctx.outputs.push(Output::Call {
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
        ctx.trace_call(event, call, None, detail.as_deref());
        true
    }

    /// Returns true if a call may be sent. A call that was answered with a 401 needs another token than the one that
    /// was refused.
    pub(super) fn can_resume(&self, ctx: &Context, call: CallId) -> bool {
        let session = ctx.session.as_deref();
        let can_go = |c: &Call| match c.stage {
            CallStage::Held { generation, .. } => {
                Some(generation) < session.map(|s| s.issued(c.allowed.token_selector()))
            }
            _ => true,
        };
        self.list.iter().any(|c| c.call == call && can_go(c))
    }

    /// Returns the tokens that calls with a 401 need.
    pub(super) fn held(&self) -> Vec<TokenSelector> {
        let is_held = |c: &Call| matches!(c.stage, CallStage::Held { .. });
        let held = self.list.iter().filter(|c| is_held(c));
        held.map(|c| c.allowed.token_selector()).collect()
    }

    /// Gives up all waiting calls: no token will come for now.
    pub(super) fn give_up_all(
        &mut self,
        ctx: &mut Context,
        dpop: &mut Dpop,
        waiters: Waiters,
        error: &Error,
    ) {
        let waiting = self.waiting();
        self.give_up(ctx, dpop, &waiting, waiters, error);
    }

    /// Gives up the calls that wait for this token.
    pub(super) fn give_up_calls_for(
        &mut self,
        ctx: &mut Context,
        dpop: &mut Dpop,
        selector: TokenSelector,
        error: &Error,
    ) {
        let mut calls = self.waiting();
        calls.retain(|call| self.which(*call) == selector);
        self.give_up(ctx, dpop, &calls, Waiters::All, error);
    }

    /// Handles the head of a response.
    pub(super) fn answered(
        &mut self,
        ctx: &mut Context,
        refresh: &mut Refresh,
        dpop: &mut Dpop,
        call: CallId,
        head: &ResponseHead,
    ) -> CallOutcome {
        #[cfg(feature = "extended")]
        if self.needs_other_nonce(ctx, dpop, call, head) {
            return CallOutcome::Repeat;
        }
        #[cfg(not(feature = "extended"))]
        let _ = dpop;
        // control: response_belongs_to_its_call
        let Some(known) = self.list.iter().find(|c| c.call == call) else {
            ctx.drop_call(call);
            return CallOutcome::Done;
        };
        let CallStage::Sent { generation } = known.stage else {
            return CallOutcome::Done;
        };
        let is_worth_a_refresh = is_worth_a_refresh(ctx, refresh, known, generation, head);
        let was_retried = known.was_retried && !known.is_detached;
        let text = head_text(known.id, head);
        ctx.trace_call("call_answered", call, Some(head.status), None);
        if head.status == 0 {
            let message = msg!("the API answered with a redirect");
            self.reject(ctx, call, &Error::new(Code::RedirectBlocked, message));
        } else if is_worth_a_refresh {
            return CallOutcome::Hold {
                generation,
                head: text,
            };
        } else {
            if head.status == 401 && was_retried {
                let known = refresh.refused_generation;
                refresh.refused_generation = known.max(Some(generation));
            }
            #[cfg(feature = "extended")]
            if self.steps_up(ctx, call, head) {
                return CallOutcome::Done;
            }
            self.deliver(ctx, call, text);
        }
        CallOutcome::Done
    }

    /// Prepares a call to be sent again if its API asks for another nonce.
    #[cfg(feature = "extended")]
    fn needs_other_nonce(
        &mut self,
        ctx: &mut Context,
        dpop: &mut Dpop,
        call: CallId,
        head: &ResponseHead,
    ) -> bool {
        if !ctx.config.binds_tokens() {
            return false;
        }
        let is_it = |c: &Call| c.call == call && matches!(c.stage, CallStage::Sent { .. });
        let Some(known) = list::find(&mut self.list, is_it) else {
            return false;
        };
        let can_repeat =
            known.body == Body::Replayable && !known.is_detached && ctx.session.is_some();
        let url = known.allowed.url();
        if !dpop.call_answered(url, &mut known.proven, head, can_repeat) {
            return false;
        }
        known.stage = CallStage::Waiting;
        ctx.trace_call(
            "call_answered",
            call,
            Some(head.status),
            Some("use_dpop_nonce"),
        );
        true
    }

    /// Holds a 401 back until a refresh is over.
    pub(super) fn hold(&mut self, call: CallId, generation: u64, head: String) {
        if let Some(known) = list::find(&mut self.list, |c| c.call == call) {
            known.stage = CallStage::Held { head, generation };
        }
    }

    /// Rejects a call that could not be sent because the key for its proof is gone. Returns true if the call is of the
    /// current session.
    #[cfg(feature = "extended")]
    pub(super) fn unsigned(&mut self, ctx: &mut Context, call: CallId) -> bool {
        let is_detached = self.list.iter().any(|c| c.call == call && c.is_detached);
        self.reject(ctx, call, &key_lost(Code::SessionEnded));
        !is_detached
    }

    pub(super) fn deliver(&mut self, ctx: &mut Context, call: CallId, text: String) {
        if let Some(known) = list::find(&mut self.list, |c| c.call == call) {
            known.stage = CallStage::Delivered;
            ctx.outputs.push(Output::Deliver { call, text });
        }
    }

    pub(super) fn failed(&mut self, ctx: &mut Context, call: CallId) {
        let Some(known) = self.forget(call) else {
            return;
        };
        if !matches!(known.stage, CallStage::Delivered) {
            let text = message("network_error").number("id", known.id).finish();
            ctx.post(known.port, text);
            ctx.trace_call("call_answered", call, None, Some("no answer"));
        }
        ctx.drop_call(call);
    }

    /// Rejects a call whose response contains the token. The page does not get the rest of the response.
    pub(super) fn reflected(&mut self, ctx: &mut Context, call: CallId) {
        let message = msg!("the API's answer has the access token in it");
        self.reject(ctx, call, &Error::new(Code::TokenReflected, message));
        ctx.drop_call(call);
    }

    pub(super) fn closed(&mut self, ctx: &mut Context, call: CallId) {
        self.forget(call);
        ctx.drop_call(call);
    }

    pub(super) fn abort(&mut self, ctx: &mut Context, port: PortId, id: u64) {
        if let Some(known) = list::take(&mut self.list, |c| c.port == port && c.id == id) {
            ctx.drop_call(known.call);
        }
    }

    pub(super) fn has_calls(&self, port: PortId) -> bool {
        self.list.iter().any(|call| call.port == port)
    }

    pub(super) fn forget_port(&mut self, ctx: &mut Context, port: PortId) {
        while let Some(known) = list::take(&mut self.list, |c| c.port == port) {
            ctx.drop_call(known.call);
        }
    }

    pub(super) fn reject(&mut self, ctx: &mut Context, call: CallId, error: &Error) {
        if let Some(known) = self.forget(call) {
            ctx.post_error(known.port, known.id, error);
            ctx.drop_call(call);
        }
    }

    pub(super) fn forget(&mut self, call: CallId) -> Option<Box<Call>> {
        list::take(&mut self.list, |c| c.call == call)
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

/// RFC 6750 3.1: a 401 means that the token was refused, unless the API says that it wants
/// something that no refresh brings.
fn is_worth_a_refresh(
    ctx: &Context,
    refresh: &Refresh,
    call: &Call,
    generation: u64,
    head: &ResponseHead,
) -> bool {
    let Some(session) = ctx.session.as_deref().filter(|_| head.status == 401) else {
        return false;
    };
    let challenge = head.www_authenticate.as_deref().unwrap_or_default();
    let has_error = |error: &str| www_authenticate::has_error(challenge, error);
    let wants_more =
        has_error("insufficient_scope") || has_error("insufficient_user_authentication");
    #[cfg(feature = "extended")]
    let wants_more = wants_more || has_error("invalid_dpop_proof") || has_error("use_dpop_nonce");
    let can_repeat = !call.was_retried && !call.is_detached && call.body == Body::Replayable;
    let is_renewed_already = session.issued(call.allowed.token_selector()) > generation;
    let can_renew = session.refresh_token().is_some()
        && !session.interaction_required()
        && refresh.refused_generation != Some(generation);
    can_repeat && !wants_more && (is_renewed_already || can_renew)
}
