//! The session's tokens: the refresh, revocations, and the store that vaults share. This part connects them. For
//! instance, a refresh needs the lock of the store, and a failed write to the store can delay the next refresh.
//!
//! - `refresh`: the steps of the refresh. `revocation`: revocations. `persistence`: the store and its lock.
//! - `merge`: the merge of this vault's session with the content of the store.

pub(super) mod merge;
pub(super) mod revocation;

use crate::config::Config;
use crate::context::{Context, Purpose};
use crate::dpop::Dpop;
use crate::io::{OpId, Output};
use crate::persistence::Persistence;
use crate::persistence::lock::Lock;
use crate::provider::Provider;
use crate::refresh::{Refresh, RefreshStart, RefreshStep, Refreshed, Urgency};
use crate::tokens::revocation::Revocations;
use rules::Secret;
use rules::base::clock::Instant;
use rules::base::error::Result;
use rules::egress::policy::TokenSelector;
use rules::oauth::dpop::PublicKey;
use rules::oauth::token_endpoint::TokenSet;
use rules::prelude::*;
use rules::session::{self, EndReason, Session, Storing};

/// The parts that request, store and revoke tokens. See the [module](self).
pub(super) struct Tokens {
    pub(super) provider: Provider,
    pub(super) dpop: Dpop,
    pub(super) refresh: Refresh,
    pub(super) revocations: Revocations,
    pub(super) persistence: Persistence,
}

impl Tokens {
    pub(super) fn new(provider: Provider) -> Self {
        Self {
            provider,
            dpop: Dpop::default(),
            refresh: Refresh::default(),
            revocations: Revocations::default(),
            persistence: Persistence::default(),
        }
    }

    // The refresh.

    /// Starts a refresh for the session's own access token, unless a refresh is in flight, the session cannot be
    /// refreshed, or it is too early for the next attempt.
    pub(super) fn start_refresh(&mut self, ctx: &mut Context) {
        self.start_refresh_of(ctx, TokenSelector::default());
    }

    /// Starts a refresh for the access token that `selector` names, under the conditions of [`Self::start_refresh`],
    /// and unless the provider has recently refused to issue that token.
    pub(super) fn start_refresh_of(&mut self, ctx: &mut Context, selector: TokenSelector) {
        if self.refresh.choose(ctx, selector) {
            self.begin_refresh(ctx);
        }
    }

    /// Starts a refresh for a call that needs the token that `selector` names. Returns an error if the call should not
    /// wait for a refresh.
    pub(super) fn await_refresh_of(
        &mut self,
        ctx: &mut Context,
        selector: TokenSelector,
        urgency: Urgency,
    ) -> Result<()> {
        self.refresh.prepare(ctx, selector)?;
        self.refresh.await_for(ctx, urgency);
        self.begin_refresh(ctx);
        self.prove_line(ctx);
        self.refresh.should_wait(ctx)
    }

    /// Starts a refresh behind the response of an API to a call with the token that `selector` names. So the token is
    /// rarely needed when the device next wakes up, and the response shows that the line works. Only if no user waits for
    /// a refresh, and the line is quiet.
    pub(super) fn refresh_behind(
        &mut self,
        ctx: &mut Context,
        selector: TokenSelector,
        status: u16,
    ) {
        if let Some(selector) = self.refresh.take_following(ctx, true) {
            return self.start_refresh_of(ctx, selector);
        }
        let Some(session) = ctx.session.as_deref() else {
            return;
        };
        // The vaults of a store, and devices, do not refresh at the same time.
        let salt = &ctx.fingerprint_salt;
        let place = usize::try_from(session.generation()).unwrap_or_default() % salt.len();
        let is_ripe = session.is_ripe(selector, &ctx.now, salt[place]);
        if status < 400 && is_ripe && !ctx.is_in_doubt() && self.refresh.may_begin_behind(ctx) {
            self.start_refresh_of(ctx, selector);
        }
    }

    /// Continues a refresh that waits until the line is quiet and works.
    pub(super) fn prove_line(&mut self, ctx: &mut Context) {
        let start = self.refresh.prove(ctx, &self.provider);
        self.start(ctx, start);
    }

    fn begin_refresh(&mut self, ctx: &mut Context) {
        let start = self.refresh.begin(ctx, &self.provider);
        self.start(ctx, start);
    }

    pub(super) fn start(&mut self, ctx: &mut Context, start: RefreshStart) {
        match start {
            RefreshStart::No => {}
            RefreshStart::Prove => self.prove_line(ctx),
            RefreshStart::Send => self.send_refresh(ctx),
            // control: refresh_takes_the_lock
            RefreshStart::Lock => self.acquire_lock(ctx),
        }
    }

    pub(super) fn send_refresh(&mut self, ctx: &mut Context) {
        if self.persistence.must_lock_again(ctx) {
            self.persistence.unlock(ctx);
            return self.acquire_lock(ctx);
        }
        if !self.refresh.send(ctx, &self.provider, &mut self.dpop) {
            self.proceed(ctx);
        }
    }

    /// Continues a refresh that waited for metadata.
    pub(super) fn resume_refresh(&mut self, ctx: &mut Context) {
        let start = self.refresh.resume(ctx, &self.provider);
        self.start(ctx, start);
    }

    /// Continues a refresh that waited for keys.
    pub(super) fn queue_refresh(&mut self, ctx: &mut Context) {
        let start = self.refresh.ready(ctx);
        self.start(ctx, start);
    }

    /// Begins to store the new tokens. The session adopts these tokens when they are stored, or cannot be stored.
    pub(super) fn persist_refresh(
        &mut self,
        ctx: &mut Context,
        refreshed: Box<Refreshed>,
    ) -> RefreshStep {
        let Some(session) = &ctx.session else {
            return RefreshStep::Unused(refreshed.tokens);
        };
        if ctx.stores_sessions() && !self.persistence.lock.is_held() {
            // Another vault has taken the lock over. The store is read before these tokens are written.
            self.persistence.refreshed_without_lock();
            self.acquire_lock(ctx);
            return RefreshStep::Persisted(refreshed);
        }
        let state = ctx.stores_sessions().then(|| {
            // `Refresh::adopt` changes the session itself in the same way.
            let mut renewed = session.clone();
            let Refreshed {
                tokens,
                user,
                requested,
            } = (*refreshed).clone();
            let targets = &self.refresh.targets;
            targets.renew(&mut renewed, tokens, user, requested);
            session::kept(&renewed, storing(&ctx.config, &ctx.now))
        });
        // If the store hangs, the tokens are adopted at this deadline.
        let limit = ctx.now.monotonic + ctx.config.flow.request_timeout;
        let deadline = state.is_some().then_some(limit);
        let op = ctx.begin_operation(Purpose::PersistRefresh, deadline);
        self.refresh.persisting(op, refreshed);
        match state {
            Some(state) => {
                self.persistence.fall_behind();
                // control: adoption_waits_for_the_store
                self.persistence.persist(ctx, op, state);
            }
            // control: adoption_waits_for_persistence
            None => ctx.outputs.push(Output::Persist {
                op,
                state: None,
                expires_at: 0,
                key_pair: None,
            }),
        }
        RefreshStep::Wait
    }

    // Revocations.

    pub(super) fn revoke(&mut self, ctx: &mut Context, refresh_token: &Secret) -> Option<OpId> {
        self.revocations.revoke(ctx, &self.provider, refresh_token)
    }

    /// Revokes the refresh token in `tokens`, which no session adopts, unless another account may have the same grant.
    pub(super) fn revoke_unused(&mut self, ctx: &mut Context, tokens: &TokenSet) {
        if let Some(refresh_token) = &tokens.refresh_token
            && !ctx.config.flow.forgets
        {
            self.revoke(ctx, refresh_token);
        }
    }

    // Work under the lock.

    /// Retries the revocations that are due, and starts the reads and writes of the store that are due.
    pub(super) fn tick(&mut self, ctx: &mut Context) {
        self.revocations.retry(ctx, &self.provider);
        if self.persistence.tick(ctx) {
            self.acquire_lock(ctx);
        }
    }

    /// Records that the user was active. If the access token is about to expire, starts a refresh before a call needs
    /// the token.
    pub(super) fn user_is_active(&mut self, ctx: &mut Context) {
        let is_stale = |session: &Session| session.is_stale(&ctx.now);
        let is_stale = ctx.session.as_deref().is_some_and(is_stale);
        if self.persistence.record_activity(ctx) && is_stale {
            self.start_refresh(ctx);
        }
    }

    /// Reads the store again, because another vault has changed it.
    pub(super) fn changed_elsewhere(&mut self, ctx: &mut Context) {
        let is_refresh_sent = self.refresh.is_sent();
        self.persistence.changed_elsewhere(ctx, is_refresh_sent);
    }

    /// Tells the host which private keys are still needed. `of_logins` are the keys of the logins in flight.
    pub(super) fn keep_keys<'a>(
        &mut self,
        ctx: &mut Context,
        of_logins: impl Iterator<Item = &'a PublicKey>,
    ) {
        if !ctx.config.flow.uses_dpop {
            return;
        }
        let sessions = ctx.session.as_deref().into_iter();
        let sessions = sessions.chain(self.persistence.sessions_being_read());
        let name = |key: &PublicKey| key.thumbprint().to_owned();
        let mut names: Vec<String> = sessions.filter_map(Session::dpop_key).map(name).collect();
        names.extend(of_logins.map(name));
        self.dpop.keep_keys(ctx, names);
    }

    /// Requests the lock. If this vault already has the lock, does the work that needs it.
    pub(super) fn acquire_lock(&mut self, ctx: &mut Context) {
        if self.persistence.request_lock(ctx) {
            self.proceed(ctx);
        }
    }

    /// Reads the store after the lock was granted.
    pub(super) fn locked(&mut self, ctx: &mut Context) {
        // control: store_is_read_before_refresh
        self.persistence.locked(ctx);
    }

    /// Handles the case that the lock was not granted within the time limit. Returns true if a logout must be written
    /// without the lock.
    pub(super) fn not_locked(&mut self, ctx: &mut Context) -> bool {
        self.persistence.lock = Lock::NotRequested;
        if self.persistence.end_without_lock(ctx) {
            return true;
        }
        // If the session has ended at a limit, its refresh token is now revoked without the lock.
        let ended = self.persistence.ended.as_mut();
        if let Some(token) = ended.and_then(|ended| ended.token.take()) {
            self.revoke(ctx, &token);
        }
        false
    }

    /// Does the next work that needs the lock. Releases the lock if no work needs it.
    pub(super) fn proceed(&mut self, ctx: &mut Context) {
        if !ctx.stores_sessions() || !self.persistence.lock.is_held() || self.refresh.is_sent() {
            return;
        }
        self.persistence.retry_at = None;
        if let Some(ended) = &mut self.persistence.ended {
            let token = ended.token.take();
            let ended = session::ended(&ended.sid, ended.reason, &ctx.config.flow);
            if let Some(token) = token {
                self.revoke(ctx, &token);
            }
            // control: logout_is_stored
            return self.persistence.write(ctx, ended);
        }
        let (needs_save, is_writable) =
            (self.persistence.needs_save, self.persistence.is_writable());
        if self.refresh.is_queued(ctx) && (!needs_save || !is_writable) {
            return self.send_refresh(ctx);
        }
        match &mut ctx.session {
            Some(session) if needs_save => {
                // The store was read under the lock, so the activity is added to the current count.
                let activity = &mut self.persistence.activity;
                if core::mem::take(&mut activity.is_new) {
                    session.times.count_activity();
                    activity.is_counted = true;
                }
                let state = session::kept(session, storing(&ctx.config, &ctx.now));
                self.persistence.write(ctx, state);
            }
            _ => self.persistence.unlock(ctx),
        }
    }

    /// Forgets the session and stops the vault, because a newer vault takes its place.
    pub(super) fn stop(&mut self, ctx: &mut Context) {
        ctx.session = None;
        self.refresh.end(ctx);
        ctx.outputs.push(Output::Stop);
    }

    /// Continues the work under the lock after a write, unless the write must be repeated first.
    pub(super) fn proceed_after_write(&mut self, ctx: &mut Context) {
        if self.persistence.retry_at.is_none() || self.refresh.is_queued(ctx) {
            self.proceed(ctx);
        }
    }

    /// Records that a session has ended in this vault, and begins to write the end to the store for the other vaults.
    pub(super) fn record_end(
        &mut self,
        ctx: &mut Context,
        session: &Session,
        reason: EndReason,
        token: Option<Secret>,
    ) {
        if ctx.stores_sessions() {
            self.persistence.end(ctx, session, reason, token);
            self.acquire_lock(ctx);
            if reason.is_logout() {
                self.persistence.shorten_wait(ctx);
            }
        }
    }
}

/// Returns the circumstances in which a session is stored now.
fn storing<'a>(config: &'a Config, now: &'a Instant) -> Storing<'a> {
    Storing {
        flow: &config.flow,
        endpoints: config.rules.forbidden(),
        now,
    }
}
