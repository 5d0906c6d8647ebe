//! The refresh. At most one refresh is in flight. After its response, these steps follow in this order: ID token
//! verified → successor persisted → adopted → waiting calls released → pages notified. `Vault::advance_refresh` is this
//! sequence, and this file contains its steps. The successor is the refresh token in the response.
//!
//! Before a refresh token is sent, the vault sees that the line is quiet and works: [`Refresh::prove`]. A refresh that waits
//! for this has sent nothing, holds no lock, and ends without a trace if it is no longer needed.
//!
//! A refresh token is not sent again after its successor has arrived. The vault needs no list of consumed tokens for
//! this rule: a refresh starts only from [`RefreshStage::Idle`], and after a successor has arrived, no refresh starts
//! before that successor has replaced the token that was sent. If no response arrives, the same token is sent again.

mod proof;
mod refusals;

use crate::context::{Context, Purpose};
use crate::dpop::{self, Dpop};
use crate::io::OpId;
use crate::provider::{self, Provider};
pub(super) use crate::refresh::proof::Urgency;
use crate::refresh::proof::{Proof, ProofStep};
use crate::refresh::refusals::Refusals;
use crate::resource_tokens::{ResourceTokens, TargetRefusal};
use crate::verification::{Next, Verification, evidence};
use rules::Secret;
use rules::base::clock::{Instant, Millis};
use rules::base::error::{Code, Error, quote_url};
use rules::base::http::Outcome;
use rules::codec::json::Value;
use rules::egress::policy::{Allowed, TokenSelector};
use rules::oauth::id_token::{self, Occasion, Rejected};
use rules::oauth::identity::Identity;
use rules::oauth::refresh_policy::{self, RefreshOutcome, Schedule};
use rules::oauth::token_endpoint::TokenSet;
use rules::prelude::*;
use rules::session::provider_errors;
use rules::session::{EndReason, Session};

/// The state of the refresh.
#[derive(Default)]
pub(super) struct Refresh {
    pub(super) schedule: Schedule,
    stage: RefreshStage,
    /// The time until which calls wait for the refresh in flight. `None` if the refresh has taken so long that calls no
    /// longer wait for it. The refresh then continues, because its response may contain the successor of a refresh token
    /// that the provider has already consumed.
    waited_until: Option<Millis>,
    /// True if the last attempt failed before its request was sent, because metadata or the lock was missing.
    was_not_sent: bool,
    /// Refresh requests whose session ended while they were in flight. The refresh tokens in their responses will be
    /// revoked.
    to_revoke: Vec<OpId>,
    pub(super) refusals: Refusals,
    /// The choice of the access token that the refresh in flight, or the next attempt, requests.
    pub(super) targets: ResourceTokens,
    proof: Proof,
    /// The access token that a call has used shortly before it expires, and the time at which its refresh begins if no
    /// response arrives earlier.
    follows: Option<(TokenSelector, Millis)>,
    /// True while a probe is in flight. After a refresh without a readable response, a probe shows if the provider can
    /// be reached.
    is_probing: bool,
    /// The URL of the token endpoint, or of the metadata that is missing, for the message if it cannot be reached.
    provider_url: String,
    /// The error of calls, if the provider's last response was a refusal that concerns this client, or was not usable.
    rejection: Option<Error>,
    /// The last response that made the session suspected.
    unexplained: Option<String>,
}

/// A refresh that follows a call begins at the latest after this time.
const LONGEST_FOLLOWING: Millis = Millis::from_secs(5);

#[derive(Default)]
enum RefreshStage {
    #[default]
    Idle,
    /// Waits for the provider's metadata or keys. A session that was restored from the store does not contain them.
    NeedsProvider,
    /// Waits until the line is quiet, or for the response to a probe. Nothing was sent.
    Proving,
    /// Waits for the lock, to refresh the tokens of this generation.
    Queued(u64),
    Sent(OpId, Instant),
    Verifying(Box<Verification>),
    Persisting(OpId, Box<Refreshed>),
}

/// The tokens that a refresh has returned.
#[derive(Clone)]
pub(super) struct Refreshed {
    pub(super) tokens: Box<TokenSet>,
    /// The user by the ID token in the response, if there was a valid one. Without OpenID Connect, the user by the
    /// response itself.
    pub(super) user: Option<Identity>,
    /// The time at which the tokens were requested.
    pub(super) requested: Instant,
}

/// The result of an attempt to start a refresh.
#[derive(Clone, Copy)]
pub(super) enum RefreshStart {
    /// The refresh does not continue now.
    No,
    /// The next step is [`Refresh::prove`].
    Prove,
    /// The request can be sent.
    Send,
    /// The request can be sent after this vault has acquired the lock.
    Lock,
}

/// The state of the refresh after a step.
pub(super) enum RefreshStep {
    /// The refresh waits for an input.
    Wait,
    /// The response with tokens has arrived. The time is that of the request.
    Received(Box<TokenSet>, Instant),
    /// The tokens are verified.
    Verified(Box<Refreshed>),
    /// The tokens are stored, could not be stored, or need not be stored.
    Persisted(Box<Refreshed>),
    /// The session has the new tokens.
    Adopted,
    /// The session has the new tokens, but no access token that is still valid, for this reason.
    Expired(&'static str),
    /// No new token will come for now. Calls that wait for a token fail.
    GiveUp(Error),
    /// The provider refused to issue the access token for one target, and the session continues.
    TargetRefused(TargetRefusal),
    /// The private DPoP key of the tokens is gone.
    KeyLost,
    /// The provider has ended the grant, or a claim has changed that must not, so the session ends.
    Ended(EndReason),
    /// The response contains the tokens of another user.
    OtherUser(Box<TokenSet>),
    /// The session ended before it adopted these tokens.
    Unused(Box<TokenSet>),
    /// The response belongs to a session that is over. The value is the response's tokens, if they must be revoked.
    Detached(Option<Box<TokenSet>>),
}

impl Refresh {
    /// Returns the time of the next planned attempt, or the time until which calls wait for the refresh in flight.
    pub(super) fn due(&self) -> Option<Millis> {
        match self.stage {
            RefreshStage::Idle => self.schedule.due(),
            _ => self.waited_until,
        }
    }

    /// Returns the error for the calls that have waited long enough for the refresh in flight. Returns `None` if no
    /// refresh is in flight.
    pub(super) fn stop_waiting(&mut self, ctx: &Context) -> Option<Error> {
        if !self.is_in_flight() {
            return None;
        }
        self.waited_until = None;
        self.calls_given_up();
        Some(self.no_new_token(ctx))
    }

    /// Records that no call waits for the refresh any longer.
    pub(super) const fn calls_given_up(&mut self) {
        self.proof.calls_given_up();
    }

    /// Returns true if a call that received a 401 may begin a refresh, or wait for the one in flight.
    pub(super) fn admits_401(&mut self, ctx: &Context, allowed: &Allowed) -> bool {
        let is_only_rule = ctx.config.rules.has_one_rule();
        self.is_in_flight() || self.refusals.admit(allowed, is_only_rule, &ctx.now)
    }

    pub(super) const fn is_in_flight(&self) -> bool {
        !matches!(self.stage, RefreshStage::Idle)
    }

    const fn needs_provider(&self) -> bool {
        matches!(self.stage, RefreshStage::NeedsProvider)
    }

    /// Returns true if the refresh waits for the lock.
    pub(super) const fn is_queued(&self, ctx: &Context) -> bool {
        ctx.stores_sessions() && matches!(self.stage, RefreshStage::Queued(_))
    }

    /// Returns true if the refresh was sent and is not complete. Until then, this vault must keep the lock.
    pub(super) const fn is_sent(&self) -> bool {
        matches!(
            self.stage,
            RefreshStage::Sent(..) | RefreshStage::Verifying(_) | RefreshStage::Persisting(..)
        )
    }

    /// Chooses the access token that the next refresh requests. Returns false if the provider has recently refused to
    /// issue that token.
    pub(super) fn choose(&mut self, ctx: &Context, selector: TokenSelector) -> bool {
        let is_in_flight = self.is_in_flight();
        self.targets.choose(ctx, selector, is_in_flight)
    }

    /// Checks that a refresh can return the token that a call needs, and chooses that token for the next refresh.
    ///
    /// # Errors
    /// The reason why the call must not wait for a refresh.
    pub(super) fn prepare(&mut self, ctx: &Context, selector: TokenSelector) -> Result<(), Error> {
        if let Some(refusal) = self.targets.refusal(ctx, selector) {
            return Err(refusal);
        }
        let Some(session) = &ctx.session else {
            return Err(ctx.no_session());
        };
        if session.interaction_required() {
            return Err(interaction_required());
        }
        ResourceTokens::check_target(session, selector)?;
        self.choose(ctx, selector);
        Ok(())
    }

    /// Returns an error if a call should not wait for the refresh in flight, or for the next one.
    pub(super) fn should_wait(&self, ctx: &Context) -> Result<(), Error> {
        let should_wait = if self.is_in_flight() {
            self.waited_until.is_some()
        } else {
            self.schedule.should_wait(&ctx.now)
        };
        if should_wait {
            Ok(())
        } else {
            Err(self.no_new_token(ctx))
        }
    }

    /// Starts a refresh, unless a refresh is in flight, the session cannot be refreshed, or it is too early for the
    /// next attempt.
    pub(super) fn begin(&mut self, ctx: &mut Context, provider: &Provider) -> RefreshStart {
        // control: refresh_single_flight
        let may_start = !self.is_in_flight() && self.schedule.is_open(&ctx.now);
        let Some(session) = &ctx.session else {
            return RefreshStart::No;
        };
        if !may_start || session.interaction_required() || session.refresh_token().is_none() {
            return RefreshStart::No;
        }
        self.waited_until = Some(ctx.now.monotonic + ctx.config.flow.request_timeout);
        provider.token_url().clone_into(&mut self.provider_url);
        self.rejection = None;
        self.unexplained = None;
        // The attempt begins here also if its request is never sent.
        self.schedule.began(&ctx.now);
        self.proof.begin();
        if !ctx.stores_sessions() {
            self.stage = RefreshStage::Proving;
            return RefreshStart::Prove;
        }
        self.stage = RefreshStage::NeedsProvider;
        // If the worker dies after the response arrived and before the successor is stored, the successor is lost.
        // Metadata and keys are fetched before the request, so that the time between these two events is short.
        if provider.need_metadata(ctx) && provider.need_keys(ctx) {
            return self.ready(ctx);
        }
        RefreshStart::No
    }

    /// Continues a refresh that waited for metadata.
    pub(super) fn resume(&mut self, ctx: &mut Context, provider: &Provider) -> RefreshStart {
        if ctx.stores_sessions() && self.needs_provider() && provider.need_keys(ctx) {
            return self.ready(ctx);
        }
        RefreshStart::No
    }

    /// Continues a refresh that waited for keys, even if the keys could not be fetched. In that case they are requested
    /// again when the refresh returns an ID token.
    pub(super) fn ready(&mut self, ctx: &Context) -> RefreshStart {
        if ctx.stores_sessions() && self.needs_provider() {
            self.stage = RefreshStage::Proving;
            return RefreshStart::Prove;
        }
        RefreshStart::No
    }

    // The proof of the line.

    /// Decides on the next step of a refresh that waits until the line is quiet and works. Sends a probe if one is needed.
    pub(super) fn prove(&mut self, ctx: &mut Context, provider: &Provider) -> RefreshStart {
        if !matches!(self.stage, RefreshStage::Proving) {
            return RefreshStart::No;
        }
        let now = ctx.now.monotonic;
        let step = self.proof.next_step(ctx, provider);
        if matches!(step, ProofStep::Send) {
            // Calls may have given up waiting for a quiet line, but not for the response.
            let limit = now + ctx.config.flow.request_timeout;
            self.waited_until.get_or_insert(limit);
        }
        match step {
            ProofStep::WaitUntil(_) => RefreshStart::No,
            ProofStep::Probe => {
                // A connection from before the doubt may be dead, and the probe would only fail at its time limit.
                ctx.cancel_doubted(Purpose::ProveLine);
                if !is_probing(ctx) {
                    ctx.trace("line_probed", None);
                    provider.send_probe(ctx, Purpose::ProveLine);
                }
                RefreshStart::No
            }
            ProofStep::Send if ctx.stores_sessions() => {
                let generation = ctx.session.as_deref().map_or(0, Session::generation);
                self.stage = RefreshStage::Queued(generation);
                RefreshStart::Lock
            }
            ProofStep::Send => RefreshStart::Send,
        }
    }

    /// Counts the time since the last input, if the refresh has waited for a quiet line since.
    pub(super) fn count_wait(&mut self, ctx: &Context) {
        self.proof.count_wait(ctx.now.monotonic);
    }

    /// Records that the refresh waits for a quiet line from now on, if it does.
    pub(super) fn record_wait(&mut self, ctx: &Context, provider: &Provider) {
        let is_proving = matches!(self.stage, RefreshStage::Proving);
        if is_proving && matches!(self.proof.next_step(ctx, provider), ProofStep::WaitUntil(_)) {
            self.proof.begin_wait(ctx.now.monotonic);
        }
    }

    /// Returns the time of the next step of a refresh that waits for a quiet line, or that follows a call.
    pub(super) fn proof_due(&self, ctx: &Context, provider: &Provider) -> Option<Millis> {
        if !matches!(self.stage, RefreshStage::Proving) {
            return self.follows.map(|(_, at)| at);
        }
        match self.proof.next_step(ctx, provider) {
            ProofStep::WaitUntil(at) => Some(at),
            ProofStep::Probe if is_probing(ctx) => None,
            // The wait ended at an input that must not continue the refresh. A tick continues it.
            _ => Some(ctx.now.monotonic),
        }
    }

    /// Handles the end of a probe that [`Self::prove`] has sent. Any response shows that the line works.
    pub(super) fn on_line_probe(&mut self, ctx: &mut Context, outcome: &Outcome) -> RefreshStep {
        let is_waiting = matches!(self.stage, RefreshStage::Proving);
        match outcome {
            Outcome::Reply(reply) => {
                self.proof.probe_answered();
                let asks_to_wait = matches!(reply.status, 429 | 503);
                let Some(wait) = reply.retry_after.filter(|_| asks_to_wait && is_waiting) else {
                    return RefreshStep::Wait;
                };
                self.stage = RefreshStage::Idle;
                self.schedule.told_to_wait(&ctx.now, wait);
                self.postponed(ctx, msg!("the provider asks to wait"))
            }
            _ => {
                let is_unreadable = matches!(outcome, Outcome::Opaque);
                self.proof.probe_unanswered(ctx, is_unreadable);
                if !is_waiting {
                    return RefreshStep::Wait;
                }
                // The attempt has failed, but has spent nothing.
                self.stage = RefreshStage::Idle;
                let step = self.failed(ctx, msg!("a probe got no response"));
                self.schedule.unavailable();
                step
            }
        }
    }

    /// Records that a call waits for this refresh.
    pub(super) fn await_for(&mut self, ctx: &Context, urgency: Urgency) {
        let now = ctx.now.monotonic;
        let limit = now + ctx.config.flow.request_timeout;
        self.proof.await_for(urgency);
        // While nothing is sent, the refresh may wait for longer than a call does.
        if matches!(self.stage, RefreshStage::Proving) {
            match urgency {
                Urgency::User => self.waited_until = Some(limit),
                Urgency::Background => {
                    self.waited_until.get_or_insert(limit);
                }
            }
        }
    }

    /// Records that a call uses an access token that is about to expire. Its refresh follows the next response of an API.
    pub(super) fn follow_call(&mut self, ctx: &Context, selector: TokenSelector) {
        let at = ctx.now.monotonic + LONGEST_FOLLOWING;
        self.follows.get_or_insert((selector, at));
    }

    /// Returns the access token whose refresh follows a call, if that refresh is to begin now. `has_response` is true if a
    /// response of an API has arrived.
    pub(super) fn take_following(
        &mut self,
        ctx: &Context,
        has_response: bool,
    ) -> Option<TokenSelector> {
        let is_due = |at: Millis| has_response || at <= ctx.now.monotonic;
        let (selector, _) = self.follows.take_if(|(_, at)| is_due(*at))?;
        let session = ctx.session.as_deref()?;
        let is_needed = !ctx.ports.is_empty() && session.is_stale_of(selector, &ctx.now);
        is_needed.then_some(selector)
    }

    /// Returns true if a refresh that no user waits for may begin behind a response that has just arrived. Without a page, the
    /// worker may be about to end, and the response to the refresh would be lost.
    pub(super) fn may_begin_behind(&self, ctx: &Context) -> bool {
        !self.is_in_flight() && !ctx.ports.is_empty() && Proof::is_quiet(ctx)
    }

    // The request.

    /// Postpones a refresh that waits for metadata, keys or the lock, after the metadata could not be fetched or the
    /// lock was not granted. `is_outage` is true if the provider is down.
    pub(super) fn not_locked(&mut self, ctx: &mut Context, is_outage: bool) -> RefreshStep {
        let is_waiting = matches!(
            self.stage,
            RefreshStage::NeedsProvider | RefreshStage::Queued(_)
        );
        if !ctx.stores_sessions() || !is_waiting {
            return RefreshStep::Wait;
        }
        self.stage = RefreshStage::Idle;
        self.was_not_sent = true;
        let step = self.failed(ctx, msg!("the session's store is busy or does not work"));
        if is_outage {
            self.schedule.unavailable();
        }
        step
    }

    /// Sends the refresh request. Returns false if the request cannot be sent or is no longer needed. If another vault
    /// has stored a successor, `Tokens::merge` has already abandoned this refresh.
    pub(super) fn send(&mut self, ctx: &mut Context, provider: &Provider, dpop: &mut Dpop) -> bool {
        if !self.proof.may_send(ctx, provider) {
            // There was another doubt while the refresh waited for the lock.
            self.stage = RefreshStage::Proving;
            return false;
        }
        let queued = core::mem::take(&mut self.stage);
        let (Some(session), Some(metadata)) = (&ctx.session, &provider.metadata) else {
            return false;
        };
        let is_renewed = matches!(queued, RefreshStage::Queued(g) if g < session.generation());
        let Some(refresh_token) = session.refresh_token().filter(|_| !is_renewed) else {
            return false;
        };
        let endpoint = &metadata.token_endpoint;
        let request = self.targets.request(&ctx.config, endpoint, refresh_token);
        if ctx.stores_sessions() && core::mem::take(&mut self.was_not_sent) {
            // The last attempt failed because metadata or the lock was missing. It must not delay the retry if this
            // request fails.
            self.schedule.reopen();
        }
        self.schedule.began(&ctx.now);
        self.schedule.started();
        let key = dpop::key_of_session(session);
        let op = dpop.send_proven(ctx, Purpose::Refresh, request, key);
        self.stage = RefreshStage::Sent(op, ctx.now);
        ctx.trace_generation("refresh_started");
        true
    }

    /// Lets the request `op` be sent again, to the token endpoint that the provider has now. Returns false if the session has
    /// ended.
    pub(super) fn requeue(&mut self, ctx: &Context, op: OpId) -> bool {
        match &ctx.session {
            Some(session) if matches!(self.stage, RefreshStage::Sent(sent, _) if sent == op) => {
                self.stage = RefreshStage::Queued(session.generation());
                true
            }
            _ => false,
        }
    }

    /// Records that the request is sent again, under the same operation number. Returns false if the session has ended:
    /// its refresh token may have been revoked, and the lock released.
    pub(super) fn sent_again(&mut self, ctx: &Context, op: OpId) -> bool {
        match &mut self.stage {
            RefreshStage::Sent(o, requested) if *o == op => {
                *requested = ctx.now;
                true
            }
            _ => false,
        }
    }

    /// Handles the response to the refresh request.
    pub(super) fn on_response(
        &mut self,
        ctx: &mut Context,
        provider: &Provider,
        op: OpId,
        outcome: &Outcome,
    ) -> RefreshStep {
        let result = refresh_policy::classify(outcome, ctx.config.flow.wanted_tokens());
        let requested = match self.stage {
            RefreshStage::Sent(sent, requested) if sent == op => requested,
            _ => return self.on_detached_response(op, result),
        };
        self.stage = RefreshStage::Idle;
        let is_lost = is_lost(outcome);
        self.proof.request_ended(ctx.now, is_lost);
        if is_lost {
            self.schedule.lost();
        }
        if matches!(outcome, Outcome::KeyLost) {
            return RefreshStep::KeyLost;
        }
        if !matches!(result, RefreshOutcome::Opaque) {
            self.is_probing = false;
            self.schedule.unreachable();
        }
        let result = match self.targets.check_refusal(ctx, result) {
            Ok(result) => result,
            Err(mut refusal) => {
                // A successor may have been lost with the response to an earlier attempt. A refresh for the session's
                // own token shows if the provider still accepts the refresh token.
                refusal.may_concern_session |= self.schedule.has_failed();
                self.schedule.reopen();
                return RefreshStep::TargetRefused(refusal);
            }
        };
        self.apply(ctx, provider, outcome, result, requested)
    }

    /// Decides on the next step by the result of the refresh request.
    fn apply(
        &mut self,
        ctx: &mut Context,
        provider: &Provider,
        outcome: &Outcome,
        result: RefreshOutcome,
        requested: Instant,
    ) -> RefreshStep {
        let page = ctx.ports.last().copied();
        for warning in result.warnings(msg!("the session")) {
            ctx.warn_developer(page, &warning);
        }
        // control: errors_name_no_token
        self.rejection = result.rejection();
        match result {
            RefreshOutcome::Renewed(tokens) | RefreshOutcome::Rotated(tokens, _) => {
                // The next steps have time limits of their own.
                self.waited_until = Some(Millis::MAX);
                RefreshStep::Received(tokens, requested)
            }
            RefreshOutcome::Ended => {
                let reason = if ctx.config.tells_reasons {
                    provider_errors::end_reason(outcome)
                } else {
                    EndReason::ProviderEnded
                };
                RefreshStep::Ended(reason)
            }
            RefreshOutcome::InteractionRequired(code) => {
                if let Some(session) = &mut ctx.session {
                    // control: interaction_required_stops_refreshes
                    session.require_interaction(Some(&*code).filter(|_| ctx.config.tells_reasons));
                }
                ctx.trace("refresh_failed", Some(&code));
                ctx.broadcast_session();
                RefreshStep::GiveUp(interaction_required())
            }
            RefreshOutcome::Misconfigured(code) => {
                self.schedule.blocked(&ctx.now);
                ctx.trace("refresh_failed", Some(&code));
                RefreshStep::GiveUp(self.no_new_token(ctx))
            }
            RefreshOutcome::Wait(_, wait) => {
                self.schedule.told_to_wait(&ctx.now, wait);
                self.postponed(ctx, msg!("the provider asks to wait"))
            }
            RefreshOutcome::Transient(why) => {
                let step = self.failed(ctx, &why);
                if matches!(outcome, Outcome::Reply(reply) if reply.status >= 500) {
                    self.schedule.unavailable();
                }
                step
            }
            RefreshOutcome::Unexplained(why) => {
                let [jitter] = ctx.random();
                self.schedule.refused(&ctx.now, jitter);
                self.update_suspicion(ctx);
                self.unexplained = Some(why.clone());
                self.postponed(ctx, &why)
            }
            RefreshOutcome::NotOAuth(why) => {
                self.schedule.refused_by_gateway(&ctx.now);
                self.update_suspicion(ctx);
                self.unexplained = Some(why.clone());
                let step = self.failed(ctx, &why);
                self.schedule.unavailable();
                step
            }
            RefreshOutcome::Opaque => {
                let step = self.failed(ctx, msg!("no response could be read"));
                self.probe(ctx, provider);
                step
            }
        }
    }

    /// Sends a probe after a response that could not be read. The probe shows if the provider can be reached.
    fn probe(&mut self, ctx: &mut Context, provider: &Provider) {
        if !ctx.is_suspected && !ctx.is_in_flight(Purpose::Probe) {
            self.is_probing = true;
            provider.send_probe(ctx, Purpose::Probe);
        }
    }

    pub(super) fn on_probe(&mut self, ctx: &mut Context, outcome: &Outcome) -> RefreshStep {
        if !core::mem::take(&mut self.is_probing) {
            return RefreshStep::Wait;
        }
        if matches!(outcome, Outcome::Reply(_)) {
            self.proof.probe_answered();
        }
        if !provider::is_reachable(ctx, outcome) {
            self.schedule.unreachable();
            // A readable response, such as that of a captive portal, does not show that the provider is down.
            if provider::is_down(outcome) {
                self.schedule.unavailable();
            }
            return RefreshStep::Wait;
        }
        self.schedule.reachable(&ctx.now);
        self.update_suspicion(ctx);
        if ctx.is_suspected && !self.is_in_flight() {
            RefreshStep::GiveUp(suspected(None))
        } else {
            RefreshStep::Wait
        }
    }

    /// Updates [`Context::is_suspected`], and tells the pages if the vault now suspects that the grant has ended.
    fn update_suspicion(&self, ctx: &mut Context) {
        let is_suspected = self.schedule.is_suspected();
        let was_suspected = core::mem::replace(&mut ctx.is_suspected, is_suspected);
        if is_suspected && !was_suspected {
            ctx.broadcast_session();
        }
    }

    /// Records that an attempt failed, and schedules another attempt.
    pub(super) fn failed(&mut self, ctx: &mut Context, why: &str) -> RefreshStep {
        let [jitter] = ctx.random();
        self.schedule.failed(&ctx.now, jitter);
        self.postponed(ctx, why)
    }

    /// Returns the error for a call that cannot get a new access token now.
    fn no_new_token(&self, ctx: &Context) -> Error {
        if let Some(error) = &self.rejection {
            return error.clone();
        }
        if ctx.is_suspected {
            return suspected(self.unexplained.as_deref());
        }
        if self.is_queued(ctx) {
            return Error::new(
                Code::ProviderUnavailable,
                msg!(
                    "the access token has expired, and another tab of this app keeps the stored session locked, for example for a refresh; the session is kept"
                ),
            );
        }
        let message = [
            msg!(
                "the access token has expired and the provider cannot be reached for a new one, or it refused and its CORS headers are missing on errors; the session is kept; the URL is "
            ),
            &quote_url(&self.provider_url),
        ];
        Error::of(Code::ProviderUnavailable, &message)
    }

    fn postponed(&self, ctx: &mut Context, why: &str) -> RefreshStep {
        ctx.trace("refresh_failed", Some(why));
        if self.schedule.should_wait(&ctx.now) {
            RefreshStep::Wait
        } else {
            RefreshStep::GiveUp(self.no_new_token(ctx))
        }
    }

    /// Begins to verify the ID token in the response, if there is one.
    pub(super) fn verify(
        &mut self,
        ctx: &mut Context,
        provider: &Provider,
        tokens: Box<TokenSet>,
        requested: Instant,
    ) -> RefreshStep {
        if tokens.identity.is_none() {
            return verified(tokens, None, requested);
        }
        match evidence(ctx, provider, &tokens) {
            Ok(evidence) => {
                let verification = Verification::new(tokens, requested, evidence);
                self.advance_verification(ctx, provider, Box::new(verification))
            }
            Err(error) => without_id_token(ctx, tokens, requested, &error),
        }
    }

    fn advance_verification(
        &mut self,
        ctx: &mut Context,
        provider: &Provider,
        mut verification: Box<Verification>,
    ) -> RefreshStep {
        match verification.advance(ctx, provider, Purpose::VerifyRefresh) {
            Ok(Next::Conclude) => conclude(ctx, verification, true),
            Ok(Next::Wait) => {
                self.stage = RefreshStage::Verifying(verification);
                RefreshStep::Wait
            }
            Err(error) => {
                let Verification {
                    tokens, requested, ..
                } = *verification;
                without_id_token(ctx, tokens, requested, &error)
            }
        }
    }

    /// Returns true if the refresh waits for keys to verify its ID token.
    pub(super) const fn awaits_keys(&self) -> bool {
        matches!(&self.stage, RefreshStage::Verifying(verification) if verification.awaits_keys())
    }

    /// Continues a refresh that waited for keys to verify its ID token. `failure` is the error if the keys could not be
    /// fetched.
    pub(super) fn resume_verification(
        &mut self,
        ctx: &mut Context,
        provider: &Provider,
        failure: Option<&Error>,
    ) -> RefreshStep {
        let verification = match core::mem::take(&mut self.stage) {
            RefreshStage::Verifying(verification) if verification.awaits_keys() => verification,
            stage => {
                self.stage = stage;
                return RefreshStep::Wait;
            }
        };
        match failure {
            None => self.advance_verification(ctx, provider, verification),
            Some(error) => {
                let Verification {
                    tokens, requested, ..
                } = *verification;
                without_id_token(ctx, tokens, requested, error)
            }
        }
    }

    /// Handles the result of the check of the ID token's signature.
    pub(super) fn verified(&mut self, ctx: &mut Context, op: OpId, valid: bool) -> RefreshStep {
        let verification = match core::mem::take(&mut self.stage) {
            RefreshStage::Verifying(verification) if verification.awaits(op) => verification,
            stage => {
                self.stage = stage;
                return RefreshStep::Wait;
            }
        };
        conclude(ctx, verification, valid)
    }

    /// Records that the refresh waits until the store has the new tokens.
    pub(super) fn persisting(&mut self, op: OpId, refreshed: Box<Refreshed>) {
        self.stage = RefreshStage::Persisting(op, refreshed);
    }

    /// Continues the refresh after the new tokens were stored or could not be stored. In both cases the session must
    /// adopt them, because the previous refresh token is consumed.
    pub(super) fn persisted(&mut self, op: OpId) -> RefreshStep {
        match core::mem::take(&mut self.stage) {
            RefreshStage::Persisting(o, refreshed) if o == op => RefreshStep::Persisted(refreshed),
            stage => {
                self.stage = stage;
                RefreshStep::Wait
            }
        }
    }

    /// Replaces the tokens of the session by the new tokens.
    pub(super) fn adopt(&mut self, ctx: &mut Context, refreshed: Refreshed) -> RefreshStep {
        let Refreshed {
            tokens,
            user,
            requested,
        } = refreshed;
        let Some(session) = &mut ctx.session else {
            return RefreshStep::Unused(tokens);
        };
        let has_access_token = tokens.has_access_token();
        self.proof.adopted();
        let selected = self.targets.selected;
        // control: refusal_counts_until_a_due_token
        let was_due = has_access_token && session.is_due(selected, &ctx.now);
        self.targets.renew(session, tokens, user, requested);
        self.refusals.replaced(selected, was_due);
        let is_valid = has_access_token && session.access_token_of(selected, &ctx.now).is_some();
        ctx.trace_generation("refresh_completed");
        ctx.is_suspected = false;
        if is_valid {
            self.schedule.reset();
            self.calls_given_up();
            RefreshStep::Adopted
        } else {
            self.schedule.grant_confirmed();
            RefreshStep::Expired(if has_access_token {
                msg!("the new access token expired on its way")
            } else {
                msg!("the response had no usable access token")
            })
        }
    }

    /// Returns true if the provider may have issued a successor that has not arrived.
    pub(super) fn may_have_successor(&self) -> bool {
        matches!(self.stage, RefreshStage::Sent(..)) || self.proof.has_lost_response()
    }

    /// Forgets the refresh, because another vault's tokens have replaced those that it was to refresh. `was_due` is true if
    /// the login's access token was due.
    pub(super) fn superseded(&mut self, ctx: &mut Context, was_due: bool) {
        // control: refusals_outlast_another_vaults_refresh
        let refusals = core::mem::take(&mut self.refusals);
        self.abandon(ctx);
        self.refusals = refusals;
        self.refusals.replaced(TokenSelector::default(), was_due);
    }

    /// Forgets the refresh, because another session has replaced the one that it was to refresh, or none has.
    pub(super) fn abandon(&mut self, ctx: &mut Context) {
        ctx.is_suspected = false;
        *self = Self {
            to_revoke: core::mem::take(&mut self.to_revoke),
            ..Self::default()
        };
    }

    /// Forgets the refresh of a session that is over. If a successor has arrived and the session has not adopted it,
    /// returns the successor, which is to be revoked. If the response has not arrived yet, the vault will revoke the
    /// successor in it, unless another session may have the same grant.
    pub(super) fn end(&mut self, ctx: &mut Context) -> Option<Secret> {
        let stage = core::mem::take(&mut self.stage);
        self.abandon(ctx);
        match stage {
            RefreshStage::Idle
            | RefreshStage::NeedsProvider
            | RefreshStage::Proving
            | RefreshStage::Queued(_) => None,
            RefreshStage::Sent(op, _) => {
                let flow = &ctx.config.flow;
                // Without a reason, another user's session has taken the place of this one.
                let revokes = |reason: EndReason| reason.revokes_late(flow);
                if ctx.end_reason.map_or(!flow.forgets, revokes) {
                    self.to_revoke.push(op);
                }
                None
            }
            RefreshStage::Verifying(verification) => verification.tokens.refresh_token,
            RefreshStage::Persisting(_, refreshed) => refreshed.tokens.refresh_token,
        }
    }

    fn on_detached_response(&mut self, op: OpId, result: RefreshOutcome) -> RefreshStep {
        let Some(i) = self.to_revoke.iter().position(|&o| o == op) else {
            return RefreshStep::Detached(None);
        };
        self.to_revoke.swap_remove(i);
        RefreshStep::Detached(result.into_tokens())
    }
}

/// Returns true if a probe is in flight.
fn is_probing(ctx: &Context) -> bool {
    ctx.is_in_flight(Purpose::Probe) || ctx.is_in_flight(Purpose::ProveLine)
}

/// Returns true if no response has arrived, or only a part of one with status 200. The provider may have consumed the
/// refresh token.
fn is_lost(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Failed | Outcome::Opaque => true,
        Outcome::Reply(reply) => {
            // Tokens are read from a response in which other members are ambiguous, so it is not lost.
            let is_cut = |text| Value::parse_tolerant(text).is_err();
            reply.status == 200 && reply.json_text().is_some_and(is_cut)
        }
        Outcome::KeyLost => false,
    }
}

/// Decides on the next step after the check of the ID token's signature.
fn conclude(ctx: &mut Context, verification: Box<Verification>, valid: bool) -> RefreshStep {
    let Some(session) = &ctx.session else {
        return RefreshStep::Wait;
    };
    let requested = verification.requested;
    let occasion = Occasion::Refresh {
        original: session.original(),
    };
    match verification.conclude(ctx, valid, occasion) {
        (tokens, Ok(user)) => {
            // Only inspectors see a warning that concerns no page.
            if ctx.is_inspected()
                && let Some(warning) = id_token::session_expiry_warning(&user)
            {
                ctx.warn_developer(None, &warning);
            }
            // A response without a usable access token changes nothing that pages see.
            let user = tokens.has_access_token().then_some(user);
            verified(tokens, user, requested)
        }
        (tokens, Err(Rejected::Invalid(error))) => without_id_token(ctx, tokens, requested, &error),
        (tokens, Err(Rejected::OtherUser(_))) => RefreshStep::OtherUser(tokens),
        // The tokens are not revoked: the grant may be that of another tab's session, too.
        (_, Err(Rejected::OtherClaims(error))) => {
            ctx.trace("refresh_failed", Some(error.message()));
            RefreshStep::Ended(EndReason::ClaimsChanged)
        }
    }
}

fn verified(tokens: Box<TokenSet>, user: Option<Identity>, requested: Instant) -> RefreshStep {
    RefreshStep::Verified(Box::new(Refreshed {
        tokens,
        user,
        requested,
    }))
}

/// Ignores an ID token that is not valid, so the session keeps its claims. The other tokens in the response are
/// adopted, because they come directly from the token endpoint, and because the refresh token that was sent is
/// consumed.
fn without_id_token(
    ctx: &mut Context,
    tokens: Box<TokenSet>,
    requested: Instant,
    error: &Error,
) -> RefreshStep {
    ctx.trace("refresh_failed", Some(error.code().as_str()));
    verified(tokens, None, requested)
}

/// Returns the error of a suspected session. `response` describes the last response, if it was a refusal.
fn suspected(response: Option<&str>) -> Error {
    match response {
        Some(response) => Error::of(
            Code::InteractionRequired,
            &[
                msg!(
                    "the provider keeps refusing the refresh token, without invalid_grant; the last response: "
                ),
                response,
            ],
        ),
        None => Error::new(
            Code::InteractionRequired,
            msg!(
                "the provider keeps refusing the refresh token without a usable error code, or it refused and its CORS headers are missing on errors"
            ),
        ),
    }
}

fn interaction_required() -> Error {
    Error::new(
        Code::InteractionRequired,
        msg!("the provider requires the user to interact before it issues another access token"),
    )
}
