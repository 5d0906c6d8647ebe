//! Requests of pages to APIs. The vault checks each request, sends it with the current access token, and delivers the
//! response to the page.
//!
//! A call waits while there is no valid access token. After a 401, a call waits for one refresh and is then sent again,
//! if its body can be sent again. During the refresh, the host holds the response with the 401 back. The page gets this
//! response if the call is not sent again.

mod verdict;

use crate::api_calls::verdict::{SentCall, TokenVerdict, Verdict};
use crate::api_sockets::Sockets;
use crate::call_list::{Call, CallList, CallStage};
use crate::context::Context;
use crate::dpop::Dpop;
use crate::io::{ApiRequest, Body, CallId, Output, PortId, RequestId, ResponseHead};
use crate::message::{FetchRequest, message};
use crate::refresh::{Refresh, Urgency};
use crate::step_up::StepUp;
use crate::tokens::Tokens;
use rules::Secret;
use rules::base::error::{Code, Error, Result};
use rules::base::list;
use rules::egress::policy::{Allowed, TokenSelector};
use rules::oauth::token_endpoint::Scheme;
use rules::prelude::*;
use rules::session::Session;

/// The reason why waiting calls are given up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum GiveUpReason {
    /// No new token will come for now. Calls that wait for a token fail, unless the current token is still valid. If a
    /// call has received a 401, the page gets that response.
    NoToken,
    /// The session is over, so all waiting calls fail.
    SessionEnded,
}

/// The next step for a call after the head of its response has arrived.
enum CallOutcome {
    /// The response was delivered, rejected or ignored.
    Done,
    /// The call must be sent again with another nonce in its DPoP proof.
    Repeat,
    /// The API refused the token of this generation. The response is held back until a refresh is over.
    Hold { generation: u64, head: String },
    /// The API refused the token, and the call cannot be repeated. The response was delivered, and the next call needs
    /// another token.
    Renew(Allowed),
}

/// The calls of pages.
#[derive(Default)]
pub(super) struct Calls {
    pub(super) list: CallList,
    pub(super) sockets: Sockets,
    pub(super) step_up: StepUp,
}

impl Calls {
    /// Begins a request of a page.
    pub(super) fn fetch(
        &mut self,
        ctx: &mut Context,
        tokens: &mut Tokens,
        page: (PortId, RequestId),
        call: CallId,
        request: &FetchRequest,
        body: Body,
    ) {
        let admitted = self.admit(ctx, page, call, request, body);
        // control: background_requests_are_not_activity
        if !request.background && admitted.is_ok() {
            tokens.persistence.record_activity(ctx);
            tokens.refresh.schedule.called();
        }
        self.begin(ctx, tokens, page, call, admitted);
    }

    /// Begins an admitted call, or posts the error to the page.
    pub(super) fn begin(
        &mut self,
        ctx: &mut Context,
        tokens: &mut Tokens,
        page: (PortId, RequestId),
        call: CallId,
        admitted: Result<Box<Call>>,
    ) {
        match admitted {
            Ok(admitted) => {
                self.list.calls.push(admitted);
                self.send_or_wait(ctx, tokens, call);
            }
            Err(error) => {
                ctx.post_error(page.0, page.1, &error);
                ctx.drop_call(call);
            }
        }
    }

    /// Sends a call if the session has a valid token for the call. Otherwise starts a refresh, and the call waits for
    /// the refresh.
    pub(super) fn send_or_wait(&mut self, ctx: &mut Context, tokens: &mut Tokens, call: CallId) {
        if ctx.is_in_doubt() {
            return;
        }
        let selector = self.list.selector_of(call);
        let Some(session) = &ctx.session else {
            return;
        };
        let (has_token, is_stale) = (
            session.access_token_of(selector, &ctx.now).is_some(),
            session.is_stale_of(selector, &ctx.now),
        );
        if has_token {
            self.send_or_refresh(ctx, tokens, call);
            if is_stale {
                tokens.refresh.follow_call(ctx, selector);
            }
            return;
        }
        let urgency = self.urgency_of(call);
        match tokens.await_refresh_of(ctx, selector, urgency) {
            Ok(()) => ctx.trace_call("call_waiting", call, None, None),
            Err(error) => self.list.reject(ctx, call, &error),
        }
    }

    fn urgency_of(&self, call: CallId) -> Urgency {
        match self.list.is_awaited(call) {
            true => Urgency::User,
            false => Urgency::Background,
        }
    }

    /// Tells the refresh that no user waits for it any longer, if that is so.
    pub(super) fn stop_hurrying(&self, refresh: &mut Refresh) {
        let waiting = self.list.waiting();
        if !waiting.iter().any(|call| self.list.is_awaited(*call)) {
            refresh.calls_given_up();
        }
    }

    fn send_or_refresh(&mut self, ctx: &mut Context, tokens: &mut Tokens, call: CallId) {
        if !self.send(ctx, &mut tokens.dpop, call) {
            // The token has expired since it was checked. The next refresh releases the call.
            tokens.start_refresh_of(ctx, self.list.selector_of(call));
        }
    }

    /// Sends each waiting call, or starts a refresh for it: a token may have arrived, or the vault may be able to
    /// request one now.
    pub(super) fn resume(&mut self, ctx: &mut Context, tokens: &mut Tokens) {
        for call in self.list.waiting() {
            if self.list.can_resume(ctx, call) {
                self.send_or_wait(ctx, tokens, call);
            }
        }
        // Calls that still hold a 401 need a refresh by this vault, because no other vault has stored a newer token.
        for call in self.list.held() {
            if !ctx.is_in_doubt() {
                self.await_refresh_of_held(ctx, tokens, call);
            }
        }
    }

    /// Starts a refresh for a call that has received a 401. If no refresh is possible, their pages get the responses
    /// with the 401.
    fn await_refresh_of_held(&mut self, ctx: &mut Context, tokens: &mut Tokens, call: CallId) {
        let selector = self.list.selector_of(call);
        let urgency = self.urgency_of(call);
        let Err(error) = tokens.await_refresh_of(ctx, selector, urgency) else {
            return;
        };
        let dpop = &mut tokens.dpop;
        if selector != TokenSelector::default() {
            return self.give_up_calls_for(ctx, dpop, selector, &error);
        }
        self.give_up_all(ctx, dpop, GiveUpReason::NoToken, &error);
    }

    /// Sends every call that waited for a token.
    pub(super) fn release(&mut self, ctx: &mut Context, tokens: &mut Tokens) {
        if !ctx.config.rules.targets().is_empty() {
            return self.resume(ctx, tokens);
        }
        if ctx.stores_sessions() {
            let has_token = |s: &Session| s.access_token(&ctx.now).is_some();
            if ctx.is_in_doubt() || !ctx.session.as_deref().is_some_and(has_token) {
                return self.resume(ctx, tokens);
            }
        }
        for call in self.list.waiting() {
            self.send_or_refresh(ctx, tokens, call);
        }
    }

    /// Handles the head of a response.
    pub(super) fn on_response(
        &mut self,
        ctx: &mut Context,
        tokens: &mut Tokens,
        call: CallId,
        head: &ResponseHead,
    ) {
        let selector = self.list.selector_of(call);
        if let Some(known) = self.list.calls.iter().find(|c| c.call == call) {
            ctx.line.answered(ctx.now.monotonic, known.exchange());
        }
        match self.classify(ctx, &mut tokens.refresh, &mut tokens.dpop, call, head) {
            CallOutcome::Done => {}
            CallOutcome::Repeat => self.send_or_wait(ctx, tokens, call),
            CallOutcome::Hold { generation, head } => {
                self.hold(ctx, tokens, call, generation, head);
            }
            CallOutcome::Renew(allowed) => {
                if tokens.refresh.admits_401(ctx, &allowed) {
                    // If no refresh is possible, the next call says why.
                    let _ = tokens.await_refresh_of(ctx, selector, Urgency::Background);
                }
            }
        }
        tokens.refresh_behind(ctx, selector, head.status);
    }

    /// Holds a response with a 401 back until a refresh has ended, or delivers the response if no refresh may begin.
    fn hold(
        &mut self,
        ctx: &mut Context,
        tokens: &mut Tokens,
        call: CallId,
        generation: u64,
        head: String,
    ) {
        let selector = self.list.selector_of(call);
        let is_renewed = |s: &Session| {
            s.issued(selector) > generation && s.access_token_of(selector, &ctx.now).is_some()
        };
        let is_renewed = ctx.session.as_deref().is_some_and(is_renewed);
        let Some(known) = self.list.calls.iter().find(|c| c.call == call) else {
            return;
        };
        if !is_renewed && !tokens.refresh.admits_401(ctx, &known.allowed) {
            return self.list.deliver(ctx, call, head);
        }
        self.list.hold(call, generation, head);
        if ctx.is_in_doubt() {
            return;
        }
        if is_renewed {
            return self.send_or_refresh(ctx, tokens, call);
        }
        self.await_refresh_of_held(ctx, tokens, call);
    }

    /// Checks a request. Returns a call that waits for a token.
    fn admit(
        &self,
        ctx: &Context,
        page: (PortId, RequestId),
        call: CallId,
        request: &FetchRequest,
        body: Body,
    ) -> Result<Box<Call>> {
        let rules = &ctx.config.rules;
        let allowed = if request.is_media {
            rules.authorize_media(&request.url)?
        } else {
            rules.authorize(&request.url, &request.method)?
        };
        rules.check_headers(&allowed, &request.headers())?;
        self.list.find_room(page)?;
        if ctx.session.is_none() {
            return Err(ctx.no_session());
        }
        let init = request.init(&allowed)?;
        let can_have_body = !matches!(allowed.method(), "GET" | "HEAD");
        let mut admitted = Box::new(Call::new(call, page, allowed, init, body, None));
        admitted.is_kept_alive = request.keepalive && body == Body::Replayable;
        admitted.is_upload = !request.background && can_have_body;
        admitted.is_media = request.is_media;
        admitted.is_poll = request.is_poll;
        Ok(admitted)
    }

    fn give_up(
        &mut self,
        ctx: &mut Context,
        dpop: &mut Dpop,
        calls: &[CallId],
        reason: GiveUpReason,
        error: &Error,
    ) {
        for &call in calls {
            // As long as the current token is valid, a waiting call can be sent with it.
            let selector = self.list.selector_of(call);
            let is_usable = |s: &Session| s.access_token_of(selector, &ctx.now).is_some();
            let is_usable = ctx.session.as_deref().is_some_and(is_usable);
            let Some(known) = list::find(&mut self.list.calls, |c| c.call == call) else {
                continue;
            };
            match core::mem::replace(&mut known.stage, CallStage::Waiting) {
                CallStage::Held { head, .. } if reason == GiveUpReason::NoToken => {
                    self.list.deliver(ctx, call, head);
                }
                // The call keeps waiting until the vault knows if the session is still alive.
                CallStage::Waiting if is_usable && ctx.is_in_doubt() => {}
                CallStage::Waiting if is_usable => {
                    self.send(ctx, dpop, call);
                }
                _ => self.list.reject(ctx, call, error),
            }
        }
    }

    /// Sends a call with the access token. Returns false if the token has expired.
    fn send(&mut self, ctx: &mut Context, dpop: &mut Dpop, call: CallId) -> bool {
        let selector = self.list.selector_of(call);
        let Some(session) = &ctx.session else {
            return true;
        };
        if session.access_token_of(selector, &ctx.now).is_none() {
            return false;
        }
        if self.sockets.open(ctx, &mut self.list, call) {
            return true;
        }
        let proof = if ctx.config.flow.uses_dpop {
            let Some(known) = list::find(&mut self.list.calls, |c| c.call == call) else {
                return true;
            };
            dpop.prove_call(ctx, &known.allowed, &mut known.proven)
        } else {
            None
        };
        let Some(session) = &ctx.session else {
            return true;
        };
        let generation = session.issued(selector);
        // control: api_gets_its_own_token
        let Some(token) = session.latest_access_token_of(selector) else {
            return true;
        };
        let scheme = match ctx.config.flow.scheme() {
            Scheme::Bearer => "Bearer ",
            Scheme::Dpop => "DPoP ",
        };
        let authorization = Secret::new([scheme, token.expose()].concat());
        let searched = ctx.searched.with(Some(token), &ctx.now);
        let is_inspected = ctx.is_inspected();
        let Some(known) = list::find(&mut self.list.calls, |c| c.call == call) else {
            return true;
        };
        let event = if matches!(known.stage, CallStage::Held { .. }) {
            known.was_retried = true;
            "call_retried"
        } else {
            "call_sent"
        };
        known.stage = CallStage::Sent { generation };
        known.sent = ctx.now.monotonic;
        let detail = is_inspected.then(|| known.allowed.description());
        ctx.outputs.push(Output::Call {
            call,
            port: known.port,
            id: known.id,
            request: Box::new(ApiRequest {
                allowed: known.allowed.clone(),
                authorization,
                searched,
                proof,
                init: known.init.clone(),
            }),
        });
        ctx.trace_call(event, call, None, detail.as_deref());
        true
    }

    /// Gives up all waiting calls for this reason.
    pub(super) fn give_up_all(
        &mut self,
        ctx: &mut Context,
        dpop: &mut Dpop,
        reason: GiveUpReason,
        error: &Error,
    ) {
        let waiting = self.list.waiting();
        self.give_up(ctx, dpop, &waiting, reason, error);
    }

    /// Gives up the calls that wait for the token of `selector`.
    pub(super) fn give_up_calls_for(
        &mut self,
        ctx: &mut Context,
        dpop: &mut Dpop,
        selector: TokenSelector,
        error: &Error,
    ) {
        let mut calls = self.list.waiting();
        calls.retain(|call| self.list.selector_of(*call) == selector);
        self.give_up(ctx, dpop, &calls, GiveUpReason::NoToken, error);
    }

    /// Decides what to do with the head of a response.
    fn classify(
        &mut self,
        ctx: &mut Context,
        refresh: &mut Refresh,
        dpop: &mut Dpop,
        call: CallId,
        head: &ResponseHead,
    ) -> CallOutcome {
        if self.needs_other_nonce(ctx, dpop, call, head) {
            return CallOutcome::Repeat;
        }
        // control: response_belongs_to_its_call
        let Some(known) = self.list.calls.iter().find(|c| c.call == call) else {
            ctx.drop_call(call);
            return CallOutcome::Done;
        };
        let CallStage::Sent { generation } = known.stage else {
            return CallOutcome::Done;
        };
        let sent = sent_call(ctx, refresh, known, generation);
        let (allowed, verdict) = (known.allowed.clone(), verdict::judge(head, &sent));
        let text = head_text(known.id, head);
        ctx.trace_call("call_answered", call, Some(head.status), None);
        self.warn_about(ctx, call, head, verdict == Verdict::Hold);
        let token = match verdict {
            Verdict::Unusable(error) => {
                self.list.reject(ctx, call, &error);
                return CallOutcome::Done;
            }
            Verdict::RangeHidden => {
                self.list.range_hidden(ctx, call);
                return CallOutcome::Done;
            }
            Verdict::Hold => {
                return CallOutcome::Hold {
                    generation,
                    head: text,
                };
            }
            Verdict::Deliver(token) => token,
        };
        match token {
            TokenVerdict::Last => require_login(ctx),
            // The API has not seen a newer token yet.
            TokenVerdict::RefusedAgain if !sent.has_newer_token => {
                refresh.refusals.on_refused_again(&allowed);
            }
            _ => {}
        }
        if !self.list.is_without_page(call) && self.step_up.reject(ctx, &mut self.list, call, head)
        {
            return CallOutcome::Done;
        }
        self.list.deliver(ctx, call, text);
        if token == TokenVerdict::Spent {
            refresh.refusals.on_spent(&allowed, generation);
            return CallOutcome::Renew(allowed);
        }
        // control: former_session_judges_no_token
        if !sent.is_detached {
            let is_refused = token != TokenVerdict::Accepted;
            let refusals = &mut refresh.refusals;
            refusals.on_successor(&allowed, generation, is_refused);
        }
        CallOutcome::Done
    }

    /// Tells the developer if the response shows that the API does not accept the session's tokens.
    fn warn_about(&mut self, ctx: &mut Context, call: CallId, head: &ResponseHead, is_held: bool) {
        let CallList { calls, warnings } = &mut self.list;
        if let Some(known) = calls.iter().find(|c| c.call == call)
            && known.ends_at.is_none()
            && !known.is_detached
        {
            let target = (known.allowed.url(), known.allowed.token_selector());
            warnings.on_response(ctx, target.0);
            if !is_held {
                warnings.on_refusal(ctx, known.port, target, known.was_retried, head);
            }
        }
    }

    /// Prepares a call to be sent again if the API requires another nonce in the DPoP proof. Returns true if the call
    /// is to be sent again.
    fn needs_other_nonce(
        &mut self,
        ctx: &mut Context,
        dpop: &mut Dpop,
        call: CallId,
        head: &ResponseHead,
    ) -> bool {
        if !ctx.config.flow.uses_dpop {
            return false;
        }
        let is_it = |c: &Call| c.call == call && matches!(c.stage, CallStage::Sent { .. });
        let Some(known) = list::find(&mut self.list.calls, is_it) else {
            return false;
        };
        let can_repeat =
            known.body == Body::Replayable && !known.is_detached && ctx.session.is_some();
        let url = known.allowed.url();
        if !dpop.on_call_response(url, &mut known.proven, head, can_repeat) {
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

    /// Rejects a call that could not be sent because the key for its proof is gone. Returns false if the call belongs
    /// to a session that is over.
    pub(super) fn unsigned(&mut self, ctx: &mut Context, call: CallId) -> bool {
        let is_detached = self
            .list
            .calls
            .iter()
            .any(|c| c.call == call && c.is_detached);
        self.list
            .reject(ctx, call, &crate::dpop::key_lost(Code::SessionEnded));
        !is_detached
    }
}

fn head_text(id: RequestId, head: &ResponseHead) -> String {
    message("head")
        .number("id", id.0)
        .number("status", head.status.into())
        .text("statusText", &head.status_text)
        .text("url", &head.url)
        .flag("redirected", head.redirected)
        .flag("body", head.has_body)
        .finish()
}

/// Returns the facts by which the response to a call is judged. The call was sent with the token of this generation.
fn sent_call(ctx: &Context, refresh: &Refresh, call: &Call, generation: u64) -> SentCall {
    let selector = call.allowed.token_selector();
    let has_newer_token = |session: &Session| session.issued(selector) > generation;
    let can_refresh =
        |session: &Session| session.refresh_token().is_some() && !session.interaction_required();
    let needs_login =
        |session: &Session| session.lasts_until_refused() && !session.is_new_token(&ctx.now);
    let session = ctx.session.as_deref();
    let refusals = &refresh.refusals;
    SentCall {
        body: call.body,
        is_media: call.is_media,
        was_retried: call.was_retried,
        is_detached: call.is_detached,
        has_newer_token: session.is_some_and(has_newer_token),
        can_refresh: session.is_some_and(can_refresh) && refusals.may_refresh_help(&call.allowed),
        is_after_spent: refusals.is_after_spent(&call.allowed, generation),
        needs_login: session.is_some_and(needs_login),
    }
}

/// Tells the pages that the user must sign in before there is another token.
fn require_login(ctx: &mut Context) {
    if let Some(session) = &mut ctx.session {
        session.require_interaction(None);
        ctx.broadcast_session();
    }
}
