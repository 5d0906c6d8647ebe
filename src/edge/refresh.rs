//! The refresh, once for all isolates.
//!
//! Only the isolate that holds the intent in the session's record sends the refresh token, and no isolate sends a token
//! that is known to be consumed. Other requests wait and get the successor. A valid access token remains in use even if
//! the coordinator or the provider is down. After that, requests fail with 503 and the session is kept: only the
//! provider's response, a limit, or a replayed cookie ends a session.

pub(super) mod lease;
pub(super) mod outage;

use crate::prelude::*;
use alloc::rc::Rc;

use crate::base::clock::{Instant, Millis, UnixMillis};
use crate::base::error::{Code, Error};
use crate::codec::json;
use crate::edge::config::Storage;
use crate::edge::coordinator::{A_MINUTE, Stored, Unreachable};
use crate::edge::io::{Effect, Event};
use crate::edge::refresh::lease::LEASE;
use crate::edge::refusal::Refusal;
use crate::edge::session::Session;
use crate::edge::session::record::{GenerationStatus, Record};
use crate::edge::task::{RefreshGuard, Task, boxed};
use crate::oauth::refresh_policy::{self, RefreshOutcome};
use crate::oauth::token_endpoint::TokenSet;
use crate::session::EndReason;

/// Longest time for which a request waits for tokens.
const MAX_WAIT: Millis = Millis::from_secs(15);

/// Most attempts of one refresh.
const ATTEMPTS: u32 = 3;

/// No further attempt begins once the attempts took longer than the limit for one attempt plus this.
const RETRY_BUDGET: Millis = Millis::from_secs(5);

/// Most attempts of a commit: without it, other isolates would send the consumed token once the intent has expired.
const COMMITS: u32 = 5;

/// Most attempts to write an intent while the coordinator fails.
const INTENTS: u32 = 3;

/// The first pause between two attempts. It doubles each time.
const PAUSE: Millis = Millis(200);

/// Most attempts to record a presented cookie while other isolates write the record, too.
const PRESENTED_WRITES: u32 = 3;

/// A request waits for the next attempt if it may start within this time.
const SOON: Millis = Millis::from_secs(1);

/// The error message for a refresh that was given up without the lease.
const LEASE_LOST: &str = msg!("another isolate took over the refresh");

/// No further attempt to write the end of a session begins after this time.
const END_BUDGET: Millis = Millis::from_secs(3);

/// The default for `Retry-After`.
const RETRY_AFTER: Millis = Millis::from_secs(2);

type SessionResult = Result<Rc<Session>, Refusal>;

impl Task {
    /// Returns the session with which a request continues: the one that it brought, or its successor. `kept` is the
    /// storage in which the session was found.
    pub(super) async fn current(&self, presented: Rc<Session>, kept: Storage) -> SessionResult {
        let presented = self.check_limits(presented, kept).await?;
        let session = self.sync_with_record(presented, kept).await?;
        if session.is_stale(&self.now()) {
            boxed(self.renew(session)).await
        } else {
            Ok(session)
        }
    }

    async fn check_limits(&self, presented: Rc<Session>, kept: Storage) -> SessionResult {
        let limits = &self.config().flow.limits;
        match presented.limit_reached(limits, &self.now()) {
            None => Ok(presented),
            Some(reason) => boxed(self.on_limit(presented, reason, kept)).await,
        }
    }

    /// Ends a session at its limit, unless its record has later activity.
    async fn on_limit(
        &self,
        presented: Rc<Session>,
        reason: EndReason,
        kept: Storage,
    ) -> SessionResult {
        if reason != EndReason::Idle {
            self.end(&presented, reason).await;
            return Err(Refusal::Ended(reason));
        }
        // The user may have been active in another isolate.
        let looked = self.fetch_record(&presented).await;
        if let Some(active) = self.later_activity(&presented) {
            return Ok(presented.active_since(active));
        }
        // The session may have ended earlier.
        let record = self.cached_record(&presented.sid).record;
        if let Some(before) = record.and_then(|record| record.ended) {
            return Err(Refusal::Ended(before));
        }
        // A cookie may be an older copy of the session; a stored session is current.
        if kept == Storage::InStore {
            if looked.is_err() {
                return Err(self.unavailable(&presented.sid));
            }
            self.end(&presented, reason).await;
            if let Some(active) = self.later_activity(&presented) {
                // The user returned before the end was written.
                return self.classify(presented.active_since(active)).await;
            }
        }
        Err(Refusal::Ended(reason))
    }

    /// Returns the time of later activity according to the record, if the session is not idle by it.
    fn later_activity(&self, presented: &Rc<Session>) -> Option<UnixMillis> {
        let latest = self.cached_record(&presented.sid).record?.session.clone()?;
        let is_later = latest.generation >= presented.generation;
        (is_later && !self.is_at_limit(&latest)).then_some(latest.active)
    }

    fn is_at_limit(&self, session: &Rc<Session>) -> bool {
        let limits = &self.config().flow.limits;
        session.limit_reached(limits, &self.now()).is_some()
    }

    /// Compares a presented session with its record, as far as that can be read.
    async fn sync_with_record(&self, presented: Rc<Session>, kept: Storage) -> SessionResult {
        let recheck = self.config().recheck;
        let is_due =
            self.isolate()
                .session_cache
                .borrow()
                .is_due(&presented.sid, recheck, &self.now());
        if is_due {
            // Without the coordinator the cached record decides, and a valid token remains in use.
            let _ = boxed(self.fetch_record(&presented)).await;
        }
        let session = self.classify(presented.clone()).await?;
        if kept == Storage::SealedInCookie {
            self.record_presented(&presented).await;
        }
        Ok(session)
    }

    /// Records the first cookie of a generation: it replaces those of earlier generations.
    async fn record_presented(&self, presented: &Rc<Session>) {
        for _ in 0..PRESENTED_WRITES {
            let now = self.now();
            let Stored { version, record } = self.cached_record(&presented.sid);
            let record = match record {
                Some(record) if record.ended.is_some() => return,
                Some(record) => record,
                None if presented.generation == 0 => return,
                // This isolate read the record before the first refresh.
                None => Rc::new(Record::of(presented, now.wall)),
            };
            // A session newer than its record was refreshed by an isolate that could not commit.
            let record = if presented.generation > record.generation {
                Rc::new(record.followed_by(presented, now.wall))
            } else {
                record
            };
            let noted = record.with_presented(presented.generation, self.config().grace, now.wall);
            let is_up = self
                .isolate()
                .session_cache
                .borrow()
                .is_coordinator_up(&now);
            // control: presented_cookies_are_recorded
            let Some(noted) = noted.filter(|_| is_up) else {
                return;
            };
            match boxed(self.write(presented, version, &Rc::new(noted))).await {
                Ok(None) if boxed(self.fetch_record(presented)).await.is_ok() => {}
                _ => return,
            }
        }
    }

    /// Returns the session or its successor after some time has passed. If `is_cache_enough`, the coordinator may be
    /// down.
    pub(super) async fn recheck(
        &self,
        session: Rc<Session>,
        is_cache_enough: bool,
    ) -> SessionResult {
        if self.fetch_record(&session).await.is_err() && !is_cache_enough {
            return Err(self.unavailable(&session.sid));
        }
        self.classify(session).await
    }

    /// Classifies a presented session by its cached record. The time of the presentation is the arrival of the request,
    /// even if the request waited.
    async fn classify(&self, presented: Rc<Session>) -> SessionResult {
        let Some(record) = self.cached_record(&presented.sid).record else {
            return Ok(presented);
        };
        match record.status(&presented, self.config().grace, &self.arrived()) {
            GenerationStatus::Ended(reason) => Err(Refusal::Ended(reason)),
            GenerationStatus::Succeeded(session) => {
                let active = session.active.max(presented.active);
                Ok(session.clone().active_since(active))
            }
            // control: replayed_cookie_ends_session
            GenerationStatus::Replayed => {
                self.fault_of(
                    Code::SessionReplayed,
                    &[msg!(
                        "a cookie was presented after it had been replaced; the session was ended"
                    )],
                );
                // The record has the latest tokens.
                let latest = record.session.as_ref().unwrap_or(&presented);
                boxed(self.end(latest, EndReason::Security)).await;
                Err(Refusal::Ended(EndReason::Security))
            }
            GenerationStatus::Ahead | GenerationStatus::Current => Ok(presented),
        }
    }

    /// Returns the session's successor, if the cached record has one.
    async fn successor(&self, session: &Rc<Session>) -> Result<Option<Rc<Session>>, Refusal> {
        let found = self.classify(session.clone()).await?;
        // control: refresh_yields_to_successor
        Ok(Some(found).filter(|found| found.generation > session.generation))
    }

    /// Refreshes a session whose access token has expired or will expire soon.
    pub(super) async fn renew(&self, session: Rc<Session>) -> SessionResult {
        let mut renewed = session;
        // Repeat if another isolate committed it a while ago, or if the commit took long.
        for _ in 0..2 {
            renewed = boxed(self.renew_once(renewed)).await?;
            // control: expired_successor_is_refreshed
            if renewed.is_valid(&self.now()) {
                return Ok(renewed);
            }
        }
        Err(later(msg!(
            "the new access token expired before it could be used"
        )))
    }

    async fn renew_once(&self, session: Rc<Session>) -> SessionResult {
        let began = self.now();
        if session.refresh_token.is_none() {
            if session.is_valid(&began) {
                return Ok(session);
            }
            self.end(&session, EndReason::Expired).await;
            return Err(Refusal::Ended(EndReason::Expired));
        }
        let refused = self.refresh_or_wait(&session, &began).await;
        if !matches!(refused, Err(Refusal::Later(..) | Refusal::Interaction)) {
            return refused;
        }
        // control: valid_token_survives_failed_refresh
        if session.is_valid(&self.now()) {
            return Ok(session);
        }
        // Another request of this isolate may have found the successor in the meantime.
        let found = self.classify(session).await?;
        if found.is_valid(&self.now()) {
            return Ok(found);
        }
        refused
    }

    async fn refresh_or_wait(&self, session: &Rc<Session>, began: &Instant) -> SessionResult {
        loop {
            let now = self.now();
            let flight = {
                let cache = self.isolate().session_cache.borrow();
                cache.flight(&session.sid, &now)
            };
            let Some(flight) = flight else {
                let Err((refusal, left)) = self.may_attempt(session) else {
                    break;
                };
                // Wait if the next attempt may start soon.
                let waited = began.elapsed(&now) + left;
                if session.is_valid(&now) || left > SOON || waited >= MAX_WAIT {
                    return Err(refusal);
                }
                self.pause(left).await;
                continue;
            };
            // control: valid_token_does_not_wait
            if session.is_valid(&now) {
                return Ok(session.clone());
            }
            let left = MAX_WAIT.saturating_sub(began.elapsed(&now));
            if left == Millis::ZERO {
                // The other request may be waiting for the coordinator.
                if self
                    .isolate()
                    .session_cache
                    .borrow()
                    .has_coordinator_failed()
                {
                    return Err(self.unavailable(&session.sid));
                }
                return Err(later(msg!("another request is refreshing the session")));
            }
            let flight = Some(flight);
            self.perform(Effect::Linger { flight, time: left }).await;
            if let Some(successor) = self.successor(session).await? {
                return Ok(successor);
            }
        }
        let _flight = RefreshGuard::begin(self, &session.sid);
        self.rotate(session, began).await
    }

    /// Returns the longest time of one attempt. With DPoP, the provider may require a nonce and a second request.
    fn longest_attempt(&self) -> Millis {
        let flow = &self.config().flow;
        let requests = if flow.binds_tokens() { 2 } else { 1 };
        Millis(flow.request_timeout.0 * requests)
    }

    /// Lets this request try the refresh, unless an attempt failed here a moment ago or the provider is down. The error
    /// is the refusal, and the time until an attempt may start.
    fn may_attempt(&self, session: &Rc<Session>) -> Result<(), (Refusal, Millis)> {
        let now = self.now();
        let mut cache = self.isolate().session_cache.borrow_mut();
        let yields = cache
            .get(&session.sid)
            .and_then(|cached| cached.failed)
            .is_some_and(|at| at.elapsed(&now) < outage::YIELDING);
        // The failure does not count if another isolate has refreshed the session since.
        if let Some(cached) = cache.get(&session.sid)
            && cached.generation >= session.generation
            && !cached.schedule.is_open(&now)
        {
            let left = cached.schedule.left(&now);
            let (code, why) = match cached.refused {
                None => (
                    Code::ProviderUnavailable,
                    msg!("the last refresh of this session failed a moment ago"),
                ),
                Some(Code::InteractionRequired) => return Err((Refusal::Interaction, Millis::MAX)),
                Some(code) => (code, msg!("the provider refused this client a moment ago")),
            };
            return Err((Refusal::Later(Error::new(code, why), left), left));
        }
        cache.outage.probe(&now, yields).map_err(|left| {
            let why = msg!("the provider does not respond; another request is trying it");
            let error = Error::new(Code::ProviderUnavailable, why);
            (Refusal::Later(error, left), left)
        })
    }

    /// The time until this session may be refreshed, after an attempt that failed.
    fn until_attempt(&self, session: &Rc<Session>) -> Millis {
        let cache = self.isolate().session_cache.borrow();
        let cached = cache.get(&session.sid);
        cached.map_or(RETRY_AFTER, |cached| cached.schedule.left(&self.now()))
    }

    /// Refreshes the session: intent, exchange, commit.
    async fn rotate(&self, session: &Rc<Session>, began: &Instant) -> SessionResult {
        // These requests come first, since they would use up the time of the intent.
        if let Err(error) = self.load_provider().await {
            self.record_attempt(session, &RefreshOutcome::Transient(""));
            self.fault(&error);
            return Err(Refusal::Later(error, self.until_attempt(session)));
        }
        if let Some(successor) = self.acquire_lease(session, began).await? {
            return Ok(successor);
        }
        let requested = self.now().wall;
        let verdict = self.exchange(session).await;
        self.record_attempt(session, &verdict);
        if !matches!(verdict, RefreshOutcome::Renewed(_) | RefreshOutcome::Ended) {
            // One call for all verdicts: each call would compile to a copy of the whole.
            boxed(self.release_lease()).await;
        }
        if matches!(
            verdict,
            RefreshOutcome::Unexplained(_) | RefreshOutcome::Transient(_)
        ) && let Some(successor) = self.successor(session).await?
        {
            return Ok(successor);
        }
        match verdict {
            RefreshOutcome::Renewed(tokens) => {
                self.accept_tokens(session, *tokens, requested).await
            }
            RefreshOutcome::Ended => {
                self.take_lease();
                self.on_refused(session).await
            }
            // control: interaction_required_keeps_session
            RefreshOutcome::InteractionRequired(_) => Err(Refusal::Interaction),
            RefreshOutcome::Misconfigured(code) => Err(self.client_rejected(&code)),
            RefreshOutcome::Wait(time) => Err(self.told_to_wait(session, time)),
            RefreshOutcome::Unexplained(code) => {
                self.fault_of(
                    Code::InteractionRequired,
                    &[
                        msg!("a refresh was refused without a usable error code: "),
                        &code,
                    ],
                );
                Err(Refusal::Interaction)
            }
            // Only browsers report this.
            RefreshOutcome::Opaque => Err(self.failed(session, msg!("there was no response"))),
            // control: provider_failure_keeps_session
            RefreshOutcome::Transient(why) => {
                // control: events_name_no_token
                self.fault_of(
                    Code::ProviderUnavailable,
                    &[msg!("a refresh failed: "), why],
                );
                Err(self.failed(session, why))
            }
        }
    }

    /// Reports that the provider rejected the client. The session is kept.
    fn client_rejected(&self, code: &str) -> Refusal {
        let message = [msg!("the token endpoint answered "), code];
        self.fault_of(Code::ClientRejected, &message);
        Refusal::Later(Error::of(Code::ClientRejected, &message), A_MINUTE)
    }

    /// Reports that the provider asked to wait. The session is kept.
    fn told_to_wait(&self, session: &Rc<Session>, time: Millis) -> Refusal {
        let mut seconds = String::new();
        json::write_number(&mut seconds, time.as_secs());
        let message = [
            msg!(
                "the provider asked to wait before the next refresh (429, or 503 with Retry-After); seconds: "
            ),
            &seconds,
        ];
        self.fault_of(Code::ProviderUnavailable, &message);
        let error = Error::of(Code::ProviderUnavailable, &message);
        Refusal::Later(error, self.until_attempt(session))
    }

    /// Returns the refusal after a failed refresh. The session is kept.
    fn failed(&self, session: &Rc<Session>, why: &str) -> Refusal {
        let error = Error::new(Code::ProviderUnavailable, why);
        Refusal::Later(error, self.until_attempt(session))
    }

    /// Returns the refusal for a record that cannot be read. The session is kept.
    pub(super) fn unavailable(&self, sid: &str) -> Refusal {
        let cache = self.isolate().session_cache.borrow();
        if cache
            .get(sid)
            .is_some_and(|cached| cached.is_sealed_elsewhere)
        {
            let why = msg!("the session's record is sealed with a key that is not in cookie.keys");
            return Refusal::Later(Error::new(Code::KeyUnknown, why), LEASE);
        }
        let why = msg!(
            "the coordinator cannot be reached: without it no session can begin, be read or be refreshed"
        );
        Refusal::Later(Error::new(Code::CoordinatorUnavailable, why), RETRY_AFTER)
    }

    /// Writes the intent, or returns the successor if another isolate has refreshed already.
    async fn acquire_lease(
        &self,
        session: &Rc<Session>,
        began: &Instant,
    ) -> Result<Option<Rc<Session>>, Refusal> {
        let is_up = self
            .isolate()
            .session_cache
            .borrow()
            .is_coordinator_up(&self.now());
        if !is_up {
            return Err(self.unavailable(&session.sid));
        }
        let mut failures = 0;
        loop {
            if failures > 0 {
                if failures == INTENTS || session.is_valid(&self.now()) {
                    return Err(self.unavailable(&session.sid));
                }
                self.pause(PAUSE).await;
            }
            let Ok(stored) = self.fetch_record(session).await else {
                failures += 1;
                continue;
            };
            if let Some(successor) = self.successor(session).await? {
                return Ok(Some(successor));
            }
            let now = self.now();
            let Stored { version, record } = stored;
            let mut record = record.unwrap_or_else(|| Rc::new(Record::of(session, now.wall)));
            // An intent of this isolate is left over from a write with a lost response, or from a failed refresh.
            // control: foreign_intent_is_honored
            let intent = record.intent_at(&now);
            if let Some(intent) = intent.filter(|intent| intent.holder != self.isolate().name()) {
                let left = MAX_WAIT.saturating_sub(began.elapsed(&now));
                let until = Millis(intent.until.saturating_sub(now.wall));
                if session.is_valid(&now) || left == Millis::ZERO {
                    let why = msg!("another isolate is refreshing the session");
                    let error = Error::new(Code::ProviderUnavailable, why);
                    return Err(Refusal::Later(error, until));
                }
                let time = left.min(until);
                self.wait(&session.sid, version, time).await;
                continue;
            }
            Rc::make_mut(&mut record).intent = Some(self.intent());
            match self.write(session, version, &record).await {
                Ok(Some(version)) => {
                    self.hold_lease(session, version, record);
                    return Ok(None);
                }
                Ok(None) => {}
                Err(Unreachable) => failures += 1,
            }
        }
    }

    /// Sends the refresh token, and sends it again soon if the response may have been lost.
    async fn exchange(&self, session: &Rc<Session>) -> RefreshOutcome {
        let began = self.now();
        let longest = self.longest_attempt() + RETRY_BUDGET;
        let mut pause = PAUSE;
        let mut attempt = 1;
        let mut refusals = 0;
        loop {
            let outcome = self.send_refresh(session).await;
            let verdict = match outcome {
                Ok(outcome) => refresh_policy::classify(&outcome, self.config().scheme()),
                Err(_) => {
                    RefreshOutcome::Transient(msg!("the provider's metadata could not be loaded"))
                }
            };
            let is_unexplained = matches!(verdict, RefreshOutcome::Unexplained(_));
            refusals += u32::from(is_unexplained);
            let may_pass = is_unexplained || matches!(verdict, RefreshOutcome::Transient(_));
            if attempt == ATTEMPTS || !may_pass {
                // Some attempts failed for another reason, so this is not yet a reason to suspect the session.
                if is_unexplained && refusals < ATTEMPTS {
                    return RefreshOutcome::Transient(msg!(
                        "it was refused without a usable error code"
                    ));
                }
                return verdict;
            }
            attempt += 1;
            // control: refresh_retries_promptly
            self.pause(pause).await;
            pause = pause + pause;
            if began.elapsed(&self.now()) >= longest {
                return RefreshOutcome::Transient(msg!("it took too long"));
            }
            // Another isolate may have recorded the successor of a refresh whose response was lost here.
            boxed(self.renew_lease()).await;
            if !self.has_lease() {
                return RefreshOutcome::Transient(LEASE_LOST);
            }
        }
    }

    /// Records the outcome of an attempt, and schedules the next one.
    fn record_attempt(&self, session: &Rc<Session>, verdict: &RefreshOutcome) {
        let now = self.now();
        let [jitter] = self.isolate().random();
        let mut cache = self.isolate().session_cache.borrow_mut();
        let cached = cache.entry(&session.sid, &now);
        cached.generation = session.generation;
        cached.refused = match verdict {
            RefreshOutcome::InteractionRequired(_) | RefreshOutcome::Unexplained(_) => {
                Some(Code::InteractionRequired)
            }
            RefreshOutcome::Misconfigured(_) => Some(Code::ClientRejected),
            _ => None,
        };
        let schedule = &mut cached.schedule;
        schedule.started();
        match verdict {
            RefreshOutcome::Renewed(_) | RefreshOutcome::Ended => schedule.reset(),
            RefreshOutcome::Wait(time) => schedule.told_to_wait(&now, *time),
            // This verdict comes only after as many attempts as it takes to suspect a session.
            RefreshOutcome::Unexplained(_) => {
                schedule.suspect();
                schedule.failed(&now, jitter);
            }
            RefreshOutcome::Transient(_) | RefreshOutcome::Opaque if schedule.has_failed() => {
                schedule.told_to_wait(&now, outage::interval(jitter));
            }
            // The first attempt after a failure comes soon.
            RefreshOutcome::Transient(_) | RefreshOutcome::Opaque => {
                schedule.told_to_wait(&now, SOON);
            }
            RefreshOutcome::InteractionRequired(_) | RefreshOutcome::Misconfigured(_) => {
                schedule.blocked(&now);
            }
        }
        match verdict {
            // A lost lease says nothing about the provider.
            RefreshOutcome::Transient(LEASE_LOST) => {}
            RefreshOutcome::Transient(_) | RefreshOutcome::Opaque => {
                cached.failed = Some(now);
                cache.outage.failed(&session.sid, &now, jitter);
            }
            // `Retry-After` may concern only this session or client.
            RefreshOutcome::Wait(_) => {}
            _ => cache.outage.is_over(),
        }
    }

    /// Verifies the ID token that came with the tokens, and commits them.
    async fn accept_tokens(
        &self,
        session: &Rc<Session>,
        tokens: TokenSet,
        requested: u64,
    ) -> SessionResult {
        if !self.is_same_user(session, &tokens).await {
            let successor = Rc::new(session.renewed(tokens, requested));
            self.fault_of(
                Code::IdTokenInvalid,
                &[msg!("a refresh brought the ID token of another user or issuer; the session was ended")],
            );
            self.take_lease();
            self.end(&successor, EndReason::Security).await;
            return Err(Refusal::Ended(EndReason::Security));
        }
        let successor = session.renewed(tokens, requested);
        self.commit(Rc::new(successor)).await
    }

    async fn commit(&self, successor: Rc<Session>) -> SessionResult {
        let (mut version, mut before) = match self.take_lease() {
            Some(lease) => (Some(lease.version), Some(lease.record)),
            None => (None, None),
        };
        let mut pause = PAUSE;
        let mut successor = successor;
        for _ in 0..COMMITS {
            // The user may have been active in the meantime.
            if let Some(kept) = before.as_ref().and_then(|record| record.session.as_ref()) {
                let active = successor.active.max(kept.active);
                successor = successor.active_since(active);
            }
            let next = self.next_record(before.as_deref(), &successor);
            match self.write(&successor, version.clone(), &next).await {
                Ok(Some(_)) => return Ok(successor),
                // The intent has expired and another isolate has begun, or the user has logged out.
                Ok(None) => {
                    let Ok(stored) = self.fetch_record(&successor).await else {
                        continue;
                    };
                    let Stored {
                        version: found,
                        record,
                    } = stored;
                    if let Some(record) = &record {
                        if let Some(reason) = record.ended {
                            if reason != EndReason::Replaced {
                                self.revoke(&successor).await;
                            }
                            return Err(Refusal::Ended(reason));
                        }
                        if record.generation >= successor.generation {
                            return Ok(record.session.clone().unwrap_or(successor));
                        }
                    }
                    // control: commit_survives_other_writes
                    (version, before) = (found, record);
                }
                Err(Unreachable) => {
                    self.pause(pause).await;
                    pause = pause + pause;
                }
            }
        }
        // The cookie gets the successor, so the session continues in the browser and in this isolate.
        let next = self.next_record(before.as_deref(), &successor);
        self.cache_record(&successor, next);
        self.fault_of(
            Code::CoordinatorUnavailable,
            &[msg!("a refreshed session could not be written; other isolates learn of it when its new cookie is sent")],
        );
        Ok(successor)
    }

    /// Returns the record with this session as the next generation.
    fn next_record(&self, before: Option<&Record>, successor: &Rc<Session>) -> Rc<Record> {
        let now = self.now().wall;
        Rc::new(match before {
            Some(record) => record.followed_by(successor, now),
            None => Record::of(successor, now),
        })
    }

    /// Handles a refused refresh token: ends the session, unless another isolate has its successor.
    async fn on_refused(&self, session: &Rc<Session>) -> SessionResult {
        if self.fetch_record(session).await.is_err() {
            return Err(self.unavailable(&session.sid));
        }
        if let Some(successor) = self.successor(session).await? {
            return Ok(successor);
        }
        // control: refused_token_ends_session
        self.end(session, EndReason::ProviderEnded).await;
        Err(Refusal::Ended(EndReason::ProviderEnded))
    }

    /// Ends a session everywhere: its record says so, and its refresh token is revoked. Returns true if the provider
    /// has confirmed the revocation.
    pub(super) async fn end(&self, session: &Rc<Session>, reason: EndReason) -> bool {
        self.end_since(session, reason, self.now()).await
    }

    /// Does what [`Task::end`] does. `began` is the time from which the attempts to write the end are limited.
    pub(super) async fn end_since(
        &self,
        session: &Rc<Session>,
        reason: EndReason,
        began: Instant,
    ) -> bool {
        let _guard = self.keep_alive();
        let latest = self.write_end(session, reason, began).await;
        match latest.filter(|_| reason.calls_for_revocation()) {
            Some(latest) => self.revoke(&latest).await,
            None => false,
        }
    }

    /// Writes the end into the record of a session. Returns the latest session, or `None` if the session had ended
    /// before.
    async fn write_end(
        &self,
        session: &Rc<Session>,
        reason: EndReason,
        began: Instant,
    ) -> Option<Rc<Session>> {
        let mut latest = session.clone();
        let (mut is_written, mut may_be_written) = (false, false);
        for _ in 0..COMMITS {
            let has_failed = self
                .isolate()
                .session_cache
                .borrow()
                .has_coordinator_failed();
            if has_failed && began.elapsed(&self.now()) >= END_BUDGET {
                break;
            }
            let Ok(stored) = self.fetch_record(session).await else {
                self.pause(PAUSE).await;
                continue;
            };
            let Stored { version, record } = stored;
            if let Some(record) = record {
                if record.ended.is_some() {
                    if may_be_written {
                        is_written = true;
                        break;
                    }
                    // The isolate that ended it has reported it.
                    // control: end_is_reported_once
                    return None;
                }
                if reason == EndReason::Idle
                    && record
                        .session
                        .as_ref()
                        .is_some_and(|s| !self.is_at_limit(s))
                {
                    return None;
                }
                let newer = |s: &&Rc<Session>| s.generation > latest.generation;
                if let Some(newer) = record.session.as_ref().filter(newer) {
                    latest = newer.clone();
                }
            }
            let over = Rc::new(Record::of_ended(&latest, reason, self.now().wall));
            // control: end_is_written
            match self.write(&latest, version, &over).await {
                Ok(Some(_)) => {
                    is_written = true;
                    break;
                }
                Ok(None) => {}
                Err(Unreachable) => may_be_written = true,
            }
        }
        if !is_written {
            let over = Rc::new(Record::of_ended(&latest, reason, self.now().wall));
            self.cache_record(&latest, over);
            self.fault_of(
                Code::CoordinatorUnavailable,
                &[msg!(
                    "the end of a session could not be written: a copy of its cookie is valid until its access token expires"
                )],
            );
        }
        let subject = latest.id_token().map(|token| token.subject().to_owned());
        self.isolate().emit(Event::Ended {
            reason,
            subject: subject.unwrap_or_default(),
        });
        Some(latest)
    }
}

fn later(why: &str) -> Refusal {
    Refusal::Later(Error::new(Code::ProviderUnavailable, why), RETRY_AFTER)
}
