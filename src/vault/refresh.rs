//! The one refresh: single flight, and in this order: answered → ID token verified → successor
//! persisted → adopted → waiting calls released → pages told.
//!
//! A rotated refresh token is never sent again. That needs no list of consumed tokens: there is one
//! [`Stage`], a refresh starts only from [`Stage::Idle`], and the stage does not return there before
//! the successor has taken the place of the token that was sent.

use crate::Secret;
use crate::base::clock::{Instant, Millis};
use crate::base::error::{Code, Error};
use crate::base::http::Outcome;
use crate::egress::policy::TokenSelector;
use crate::oauth::id_token::{IdToken, Occasion, Rejected};
#[cfg(feature = "extended")]
use crate::oauth::provider_errors;
use crate::oauth::refresh_policy::{self, RefreshOutcome, Schedule};
use crate::oauth::token_endpoint::{self, TokenSet};
use crate::prelude::*;
use crate::session::EndReason;
use crate::vault::api_calls::Waiters;
use crate::vault::persistence::IS_BUILT_IN;
use crate::vault::provider;
use crate::vault::verification::{Verification, unverified};
use crate::vault::{OpId, Output, Purpose, Vault};

/// The state of the refresh.
#[derive(Default)]
pub(super) struct Renewal {
    pub(super) schedule: Schedule,
    stage: Stage,
    /// The last attempt failed before it was sent: for want of metadata, or of the lock.
    was_not_sent: bool,
    /// Refreshes whose session was logged out while they were under way: what they bring is revoked.
    to_revoke: Vec<OpId>,
    /// The generation whose token an API refused though it was new: no refresh will please it.
    pub(super) refused_generation: Option<u64>,
    /// What the refresh under way, or the next attempt, is for.
    #[cfg(feature = "extended")]
    pub(super) target: TokenSelector,
    /// Targets for which the provider refused a token, why, and when.
    #[cfg(feature = "extended")]
    pub(super) refused_targets: Vec<(usize, Error, Instant)>,
    /// How many refreshes began because of a 401, since when.
    for_401: u32,
    for_401_since: Instant,
    /// True while a probe after an opaque failure is in flight, which shows whether the provider can be reached.
    probes: bool,
}

/// So many refreshes may begin because of a 401 within [`WINDOW`]: an API that refuses each new token
/// once would otherwise rotate the family as fast as it can be called.
const MAX_FOR_401: u32 = 5;
const WINDOW: Millis = Millis::from_secs(10);

#[derive(Default)]
enum Stage {
    #[default]
    Idle,
    /// It waits for the provider's metadata, or keys, which a session that was kept does not bring along.
    NeedsProvider,
    /// It waits for the lock, to renew this generation.
    Queued(u64),
    Sent(OpId, Instant),
    Verifying(Box<Verification>),
    Persisting(OpId, Box<Renewed>),
}

/// New tokens, the ID token among them, and when they were asked for.
type Renewed = (Box<TokenSet>, Option<IdToken>, Instant);

impl Renewal {
    /// When the next attempt starts by itself.
    pub(super) fn due(&self) -> Option<Millis> {
        match self.stage {
            Stage::Idle => self.schedule.due(),
            _ => None,
        }
    }

    /// Whether a 401 may begin, or wait for, a refresh.
    pub(super) fn admits_401(&mut self, now: &Instant) -> bool {
        if self.is_under_way() {
            return true;
        }
        if self.for_401_since.elapsed(now) >= WINDOW {
            self.for_401_since = *now;
            self.for_401 = 0;
        }
        self.for_401 += 1;
        self.for_401 <= MAX_FOR_401
    }

    pub(super) const fn is_under_way(&self) -> bool {
        !matches!(self.stage, Stage::Idle)
    }
}

impl Vault {
    /// Starts a refresh, unless one is under way, none is possible, or it is too early for one.
    pub(super) fn start_refresh(&mut self) {
        #[cfg(feature = "extended")]
        self.aim_refresh(None);
        self.begin_refresh();
    }

    /// There is but one token to get.
    #[cfg(not(feature = "extended"))]
    pub(super) fn start_refresh_of(&mut self, _: TokenSelector) {
        self.start_refresh();
    }

    /// Tries once more what could not be done.
    #[cfg(not(feature = "extended"))]
    pub(super) fn retry_refresh(&mut self) {
        self.start_refresh();
    }

    /// Whether a call should wait for the refresh.
    #[cfg(not(feature = "extended"))]
    pub(super) fn await_refresh_of(&mut self, _: TokenSelector) -> Result<(), Error> {
        self.await_refresh()
    }

    pub(super) fn begin_refresh(&mut self) {
        let may_start =
            !self.renewal.is_under_way() && self.renewal.schedule.is_open(&self.ctx.now);
        let Some(session) = &self.ctx.session else {
            return;
        };
        if !may_start || session.interaction_required() || session.refresh_token().is_none() {
            return;
        }
        if !self.ctx.keeps() {
            return self.send_refresh();
        }
        self.renewal.stage = Stage::NeedsProvider;
        // Between the answer and the store's having it a worker's death loses the successor: nothing is
        // fetched then that can be fetched now.
        if self.provider.need_metadata(&mut self.ctx) && self.provider.need_keys(&mut self.ctx) {
            self.queue_refresh();
        }
    }

    /// Takes up a refresh that waited for metadata.
    pub(super) fn resume_refresh(&mut self) {
        if self.ctx.keeps()
            && self.refresh_needs_provider()
            && self.provider.need_keys(&mut self.ctx)
        {
            self.queue_refresh();
        }
    }

    /// Takes up a refresh that waited for keys. If they are not to be had, they are asked for once more when
    /// there is an ID token to verify.
    pub(super) fn queue_refresh(&mut self) {
        if !self.ctx.keeps() || !self.refresh_needs_provider() {
            return;
        }
        if let Some(session) = &self.ctx.session {
            self.renewal.stage = Stage::Queued(session.generation());
            self.want_lock();
        }
    }

    const fn refresh_needs_provider(&self) -> bool {
        matches!(self.renewal.stage, Stage::NeedsProvider)
    }

    /// There is no metadata, or no lock, for the time being.
    pub(super) fn refresh_not_locked(&mut self) {
        let is_waiting = matches!(self.renewal.stage, Stage::NeedsProvider | Stage::Queued(_));
        if self.ctx.keeps() && is_waiting {
            self.renewal.stage = Stage::Idle;
            self.renewal.was_not_sent = true;
            self.transient(msg!("the session's store is busy or does not work"));
        }
    }

    pub(super) const fn refresh_is_queued(&self) -> bool {
        self.ctx.keeps() && matches!(self.renewal.stage, Stage::Queued(_))
    }

    /// Whether a refresh needs the lock until it is through.
    pub(super) const fn refresh_is_sent(&self) -> bool {
        matches!(
            self.renewal.stage,
            Stage::Sent(..) | Stage::Verifying(_) | Stage::Persisting(..)
        )
    }

    pub(super) fn send_refresh(&mut self) {
        let queued = if self.ctx.keeps() {
            core::mem::take(&mut self.renewal.stage)
        } else {
            Stage::Idle
        };
        let (Some(session), Some(metadata)) = (&self.ctx.session, &self.provider.metadata) else {
            return self.proceed();
        };
        let is_renewed = matches!(queued, Stage::Queued(g) if g < session.generation());
        let Some(refresh_token) = session.refresh_token().filter(|_| !is_renewed) else {
            return self.proceed();
        };
        let (endpoint, client_id) = (&metadata.token_endpoint, &self.ctx.config.client_id);
        #[cfg(feature = "extended")]
        let request = match self.renewal.target {
            Some(i) => {
                let target = &self.ctx.config.rules.targets()[i];
                token_endpoint::target_request(endpoint, client_id, refresh_token, target)
            }
            None => token_endpoint::refresh_request(endpoint, client_id, refresh_token),
        };
        #[cfg(not(feature = "extended"))]
        let request = token_endpoint::refresh_request(endpoint, client_id, refresh_token);
        if self.ctx.keeps() && core::mem::take(&mut self.renewal.was_not_sent) {
            // What hindered it is over, and whether its answer is lost another matter: then it is prompt.
            self.renewal.schedule.reopen();
        }
        self.renewal.schedule.started();
        #[cfg(feature = "extended")]
        let op = {
            let key = session.key().cloned();
            self.dpop
                .send_proven(&mut self.ctx, Purpose::Refresh, request, key)
        };
        #[cfg(not(feature = "extended"))]
        let op = self.ctx.send(Purpose::Refresh, request);
        self.renewal.stage = Stage::Sent(op, self.ctx.now);
        self.ctx.trace_generation("refresh_started");
    }

    /// The refresh is to be sent once more, under the same number. Whether there is still a session to be refreshed:
    /// the token may have been revoked meanwhile, and the lock given back.
    #[cfg(feature = "extended")]
    pub(super) fn refresh_sent_again(&mut self, op: OpId) -> bool {
        match &mut self.renewal.stage {
            Stage::Sent(o, requested) if *o == op => {
                *requested = self.ctx.now;
                true
            }
            _ => false,
        }
    }

    /// Whether a call should wait for the refresh, which is started if need be.
    ///
    /// # Errors
    /// Why waiting is of no use.
    pub(super) fn await_refresh(&mut self) -> Result<(), Error> {
        let Some(session) = &self.ctx.session else {
            return Err(self.ctx.no_session());
        };
        if session.interaction_required() {
            return Err(interaction_required());
        }
        #[cfg(feature = "extended")]
        self.aim_refresh(None);
        self.await_begun_refresh()
    }

    pub(super) fn await_begun_refresh(&mut self) -> Result<(), Error> {
        self.begin_refresh();
        let is_patient = self.renewal.schedule.should_wait(&self.ctx.now);
        if self.renewal.is_under_way() || is_patient {
            Ok(())
        } else {
            Err(self.no_new_token())
        }
    }

    /// The error for a call that cannot get a new access token now.
    fn no_new_token(&self) -> Error {
        if self.ctx.is_suspected {
            suspected()
        } else {
            unavailable()
        }
    }

    pub(super) fn refresh_answered(&mut self, op: OpId, outcome: &Outcome) {
        let verdict = refresh_policy::classify(outcome, self.ctx.config.scheme());
        let requested = match self.renewal.stage {
            Stage::Sent(sent, requested) if sent == op => requested,
            _ => return self.orphan_answered(op, verdict),
        };
        self.renewal.stage = Stage::Idle;
        #[cfg(feature = "extended")]
        if matches!(outcome, Outcome::KeyLost) {
            self.end_without_key();
            return self.proceed();
        }
        if !matches!(verdict, RefreshOutcome::Opaque) {
            self.renewal.probes = false;
            self.renewal.schedule.unreachable();
        }
        #[cfg(feature = "extended")]
        let Some(verdict) = self.refusal_of_target(verdict) else {
            return self.proceed();
        };
        match verdict {
            RefreshOutcome::Renewed(tokens) => self.verify_renewed(tokens, requested),
            RefreshOutcome::Ended => {
                #[cfg(feature = "extended")]
                let reason = if self.ctx.config.tells_reasons {
                    provider_errors::end_reason(outcome)
                } else {
                    EndReason::ProviderEnded
                };
                #[cfg(not(feature = "extended"))]
                let reason = EndReason::ProviderEnded;
                self.end_session(reason);
            }
            RefreshOutcome::InteractionRequired(code) => {
                if let Some(session) = &mut self.ctx.session {
                    session.require_interaction();
                    #[cfg(feature = "extended")]
                    if self.ctx.config.tells_reasons {
                        session.require(code.clone());
                    }
                }
                self.ctx.trace("refresh_failed", Some(&code));
                self.ctx.broadcast_session();
                self.give_up_calls(Waiters::All, &interaction_required());
            }
            RefreshOutcome::Misconfigured(code) => {
                self.renewal.schedule.blocked(&self.ctx.now);
                self.ctx.trace("refresh_failed", Some(&code));
                let message = [msg!("the token endpoint answered "), &code];
                let error = Error::of(Code::ClientRejected, &message);
                self.give_up_calls(Waiters::All, &error);
            }
            RefreshOutcome::Wait(wait) => {
                self.renewal.schedule.told_to_wait(&self.ctx.now, wait);
                self.refresh_postponed(msg!("the provider asks for patience"));
            }
            RefreshOutcome::Transient(why) => self.transient(why),
            RefreshOutcome::Unexplained(why) => {
                let [jitter] = self.ctx.random();
                self.renewal.schedule.refused(&self.ctx.now, jitter);
                self.update_suspicion();
                self.refresh_postponed(&why);
            }
            RefreshOutcome::Opaque => {
                self.transient(msg!("no response could be read"));
                if !self.ctx.is_suspected {
                    self.probe();
                }
            }
        }
        self.proceed();
    }

    fn transient(&mut self, why: &str) {
        let [jitter] = self.ctx.random();
        self.renewal.schedule.failed(&self.ctx.now, jitter);
        self.refresh_postponed(why);
    }

    fn probe(&mut self) {
        if self.ctx.is_in_flight(Purpose::Probe) {
            return;
        }
        self.renewal.probes = true;
        self.provider.send_probe(&mut self.ctx, Purpose::Probe);
    }

    pub(super) fn probe_answered(&mut self, outcome: &Outcome) {
        if !core::mem::take(&mut self.renewal.probes) {
            return;
        }
        if !provider::is_reachable(&self.ctx, outcome) {
            return self.renewal.schedule.unreachable();
        }
        self.renewal.schedule.reachable(&self.ctx.now);
        self.update_suspicion();
        if self.ctx.is_suspected && !self.renewal.is_under_way() {
            self.give_up_calls(Waiters::All, &suspected());
        }
    }

    /// Tells pages if the session has become suspected.
    fn update_suspicion(&mut self) {
        let is_suspected = self.renewal.schedule.is_suspected();
        let was_suspected = core::mem::replace(&mut self.ctx.is_suspected, is_suspected);
        if is_suspected && !was_suspected {
            self.ctx.broadcast_session();
        }
    }

    fn refresh_postponed(&mut self, why: &str) {
        self.ctx.trace("refresh_failed", Some(why));
        if !self.renewal.schedule.should_wait(&self.ctx.now) {
            let error = self.no_new_token();
            self.give_up_calls(Waiters::All, &error);
        }
    }

    fn verify_renewed(&mut self, tokens: Box<TokenSet>, requested: Instant) {
        if tokens.id_token.is_none() {
            return self.persist(tokens, None, requested);
        }
        match unverified(&self.ctx, &self.provider, &tokens) {
            Ok(unverified) => {
                let verification = Verification::new(tokens, requested, unverified);
                self.advance_refresh_verification(Box::new(verification));
            }
            Err(error) => self.without_id_token(tokens, requested, &error),
        }
    }

    fn advance_refresh_verification(&mut self, mut verification: Box<Verification>) {
        match verification.advance(&mut self.ctx, &self.provider, Purpose::VerifyRefresh) {
            Ok(()) => self.renewal.stage = Stage::Verifying(verification),
            Err(error) => {
                let Verification {
                    tokens, requested, ..
                } = *verification;
                self.without_id_token(tokens, requested, &error);
            }
        }
    }

    /// Takes up a refresh that waited for keys.
    pub(super) fn resume_refresh_verification(&mut self, failure: Option<&Error>) {
        let verification = match core::mem::take(&mut self.renewal.stage) {
            Stage::Verifying(verification) if verification.awaits_keys() => verification,
            stage => return self.renewal.stage = stage,
        };
        match failure {
            None => self.advance_refresh_verification(verification),
            Some(error) => {
                let Verification {
                    tokens, requested, ..
                } = *verification;
                self.without_id_token(tokens, requested, error);
            }
        }
    }

    /// An ID token that cannot be believed is not used, and the claims stay as they were. The tokens
    /// it came with are adopted all the same: they came straight from the token endpoint, and the
    /// refresh token that was sent is consumed.
    fn without_id_token(&mut self, tokens: Box<TokenSet>, requested: Instant, error: &Error) {
        self.ctx
            .trace("refresh_failed", Some(error.code().as_str()));
        self.persist(tokens, None, requested);
    }

    pub(super) fn refresh_verified(&mut self, op: OpId, valid: bool) {
        let verification = match core::mem::take(&mut self.renewal.stage) {
            Stage::Verifying(verification) if verification.awaits(op) => verification,
            stage => return self.renewal.stage = stage,
        };
        let Some(session) = &self.ctx.session else {
            return;
        };
        let requested = verification.requested;
        let occasion = Occasion::Refresh {
            original: session.original(),
        };
        match verification.conclude(&self.ctx, valid, occasion) {
            (tokens, Ok(id_token)) => self.persist(tokens, Some(id_token), requested),
            (tokens, Err(Rejected::Invalid(error))) => {
                self.without_id_token(tokens, requested, &error);
            }
            (tokens, Err(Rejected::OtherUser(_))) => {
                self.revoke_unused(&tokens);
                self.end_session(EndReason::Security);
            }
        }
    }

    fn persist(&mut self, tokens: Box<TokenSet>, id_token: Option<IdToken>, requested: Instant) {
        let Some(session) = &self.ctx.session else {
            return self.revoke_unused(&tokens);
        };
        if !IS_BUILT_IN {
            // A session in memory has nothing to wait for.
            return self.adopt((tokens, id_token, requested));
        }
        let kept = self.ctx.keeps().then(|| {
            let id_token = id_token.as_ref();
            #[cfg(feature = "extended")]
            if self.renewal.target.is_some() {
                return session.kept_renewed_other(
                    &tokens,
                    id_token,
                    &self.ctx.config,
                    &self.ctx.now,
                );
            }
            session.kept_renewed(
                &tokens,
                id_token,
                &requested,
                &self.ctx.config,
                &self.ctx.now,
            )
        });
        // What a store gives no answer to is adopted in the end.
        let patience = self.ctx.now.monotonic + self.ctx.config.request_timeout;
        let deadline = kept.is_some().then_some(patience);
        let op = self.ctx.begin_operation(Purpose::PersistRefresh, deadline);
        self.renewal.stage = Stage::Persisting(op, Box::new((tokens, id_token, requested)));
        match kept {
            Some(state) => {
                self.fall_behind();
                self.keep(op, state);
            }
            None => self.ctx.outputs.push(Output::Persist {
                op,
                state: None,
                expires_at: 0,
                #[cfg(feature = "extended")]
                key_pair: None,
            }),
        }
    }

    pub(super) fn state_written(&mut self, op: OpId, ok: bool) {
        self.written(op, ok);
        self.proceed_after_writing();
    }

    /// Whether storing worked or not: what is in memory is the only good refresh token there is.
    pub(super) fn refresh_persisted(&mut self, op: OpId, ok: bool) {
        if self.ctx.keeps() {
            self.written(op, ok);
        }
        self.adopt_renewed(op);
        self.proceed_after_writing();
    }

    fn adopt_renewed(&mut self, op: OpId) {
        let renewed = match core::mem::take(&mut self.renewal.stage) {
            Stage::Persisting(o, renewed) if o == op => renewed,
            stage => return self.renewal.stage = stage,
        };
        self.adopt(*renewed);
    }

    fn adopt(&mut self, (tokens, id_token, requested): Renewed) {
        let Some(session) = &mut self.ctx.session else {
            return self.revoke_unused(&tokens);
        };
        #[cfg(feature = "extended")]
        let is_good = {
            let which = self.renewal.target;
            match which {
                Some(target) => session.renew_other(target, &tokens, id_token, requested),
                None => session.renew(tokens, id_token, requested),
            }
            session.access_token_of(which, &self.ctx.now).is_some()
        };
        #[cfg(not(feature = "extended"))]
        let is_good = {
            session.renew(tokens, id_token, requested);
            session.access_token(&self.ctx.now).is_some()
        };
        self.ctx.trace_generation("refresh_completed");
        if is_good {
            self.renewal.schedule.reset();
            self.ctx.is_suspected = false;
            self.release_calls();
        } else {
            // As often as for any other failure: where tokens live no longer than their way here takes,
            // each attempt would bring the next.
            self.transient(msg!("the new access token expired on its way"));
        }
        self.ctx.broadcast_session();
    }

    /// Another session has taken the place of the one being refreshed: what comes is dropped.
    pub(super) fn abandon_refresh(&mut self) {
        self.ctx.is_suspected = false;
        self.renewal = Renewal {
            to_revoke: core::mem::take(&mut self.renewal.to_revoke),
            ..Renewal::default()
        };
    }

    /// The session is over: gives the refresh token to revoke, if the one of the session is not it
    /// any more, and sees to it that one still under way is revoked when it comes.
    pub(super) fn end_refresh(&mut self) -> Option<Secret> {
        let stage = core::mem::take(&mut self.renewal.stage);
        self.abandon_refresh();
        match stage {
            Stage::Idle | Stage::NeedsProvider | Stage::Queued(_) => None,
            Stage::Sent(op, _) => {
                self.renewal.to_revoke.push(op);
                None
            }
            Stage::Verifying(verification) => verification.tokens.refresh_token,
            Stage::Persisting(_, renewed) => renewed.0.refresh_token,
        }
    }

    fn orphan_answered(&mut self, op: OpId, verdict: RefreshOutcome) {
        let Some(i) = self.renewal.to_revoke.iter().position(|&o| o == op) else {
            return;
        };
        self.renewal.to_revoke.swap_remove(i);
        if let RefreshOutcome::Renewed(tokens) = verdict {
            self.revoke_unused(&tokens);
        }
    }
}

fn unavailable() -> Error {
    Error::new(
        Code::ProviderUnavailable,
        msg!(
            "the access token has expired and the provider cannot be reached for a new one, or it refused and its CORS headers are missing on errors; the session is kept"
        ),
    )
}

fn suspected() -> Error {
    Error::new(
        Code::InteractionRequired,
        msg!(
            "the provider keeps refusing the refresh token without a usable error code, or it refused and its CORS headers are missing on errors"
        ),
    )
}

pub(super) fn interaction_required() -> Error {
    Error::new(
        Code::InteractionRequired,
        msg!("the provider wants the user before it issues another access token"),
    )
}
