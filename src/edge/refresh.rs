//! The refresh of a session, which one isolate carries out for all isolates.
//!
//! Only a flight that has written its intent to the session's record sends the refresh token, and no flight sends a token
//! whose successor is in the record. Other requests wait for the session's successor, which is its next
//! generation with the new tokens. A valid access token remains in use even if the coordinator or the provider is down.
//! If that token expires during an outage, requests fail with 503, and the session is kept.

mod attempts;
pub(super) mod bound;
pub(super) mod end;
pub(super) mod status;

use alloc::rc::Rc;
use core::cell::Cell;
use rules::prelude::*;

use crate::config::Storage;
use crate::event::{Happened, RefreshResult};
use crate::io::{FlightId, Reply};
use crate::isolate::Seldom;
use crate::provider::documents;
use crate::provider::tokens;
use crate::provider::verification::{self, Mismatch};
use crate::refresh::status::SessionResult;
use crate::refusal::{RETRY_AFTER, Refusal};
use crate::session::Session;
use crate::session::record::{LEASE, Record, Stored};
use crate::store::coordinator::{self, Unreachable};
use crate::store::lease::{self, Watch};
use crate::store::record_store;
use crate::task::{ProviderResult, Task, boxed};
use rules::base::clock::{Instant, Millis};
use rules::base::error::{Code, Error};
use rules::codec::json;
use rules::oauth::refresh_policy::{self, RefreshOutcome};
use rules::oauth::token_endpoint::TokenSet;
use rules::session::EndReason;

/// Largest number of attempts of one refresh.
const ATTEMPTS: u32 = 3;

/// Time for repeated attempts. No attempt of a refresh begins after the longest duration of one attempt plus this time.
const RETRY_BUDGET: Millis = Millis::from_secs(5);

/// Largest number of attempts to commit the new tokens. Without a commit, other isolates would send the consumed token
/// once the intent has expired.
const COMMITS: u32 = 5;

/// Largest number of attempts to write an intent while the coordinator fails.
const INTENTS: u32 = 3;

/// Largest number of intents that a store may refuse because of other writes. A store that refuses every write would
/// otherwise be asked without end.
const CONFLICTS: u32 = 20;

/// The first pause between two attempts. In [`exchange`] and [`commit`], each further pause is twice as long.
const PAUSE: Millis = Millis(200);

/// The time in which a flight refreshes the session after it has taken a lease over.
const TAKE_OVER: Millis = Millis::from_secs(2);

/// The error message for a refusal without a usable error code.
const UNEXPLAINED: &str = msg!("it was refused without a usable error code");

/// Returns the session with which a request continues: `presented`, which came with the request, or its successor.
/// `found_in` is the storage in which `presented` was found.
pub(super) async fn current_session(
    task: &Task,
    presented: Rc<Session>,
    found_in: Storage,
) -> SessionResult {
    status::find_time(task, &presented, found_in).await;
    if bound::lacks_bound_cookie(task, &presented) {
        // The record may say that the session has ended.
        boxed(bound::check_with_record(task, &presented)).await?;
    }
    let presented = status::check_limits(task, presented, found_in).await?;
    let session = status::sync_with_record(task, presented, found_in).await?;
    if session.is_stale(&task.now()) {
        boxed(renew(task, session)).await
    } else {
        Ok(session)
    }
}

/// Refreshes a session whose access token has expired or will expire soon.
pub(super) async fn renew(task: &Task, session: Rc<Session>) -> SessionResult {
    let mut renewed = session;
    // Refresh a second time if the successor has expired already: another isolate may have committed the successor a
    // while ago, or this isolate's commit may have taken long. Or the response had only a refresh token.
    for _ in 0..2 {
        renewed = boxed(renew_once(task, renewed)).await?;
        // control: expired_successor_is_refreshed
        if renewed.is_valid(&task.now()) {
            return Ok(renewed);
        }
    }
    Err(later(msg!(
        "the refresh returned no access token that is still valid"
    )))
}

async fn renew_once(task: &Task, session: Rc<Session>) -> SessionResult {
    let began = task.now();
    if session.refresh_token.is_none() {
        if session.is_valid(&began) {
            return Ok(session);
        }
        // Only the coordinator's time says that the token has expired. A read brings it.
        let is_known = record_store::fetch(task, &session).await.is_ok();
        // An earlier end wins.
        let session = status::classify(task, session).await?;
        if session.is_valid(&task.earliest()) {
            return Ok(session);
        }
        if !is_known && task.isolate().clock.is_unknown() {
            return Err(record_store::unavailable(task, &session.sid));
        }
        end::end_session(task, &session, EndReason::Expired).await;
        return Err(Refusal::Ended(EndReason::Expired));
    }
    let refused = refresh_or_wait(task, &session, &began).await;
    if !matches!(refused, Err(Refusal::Later(..) | Refusal::Interaction)) {
        return refused;
    }
    // control: valid_token_survives_failed_refresh
    if session.is_valid(&task.now()) {
        return Ok(session);
    }
    // Another request of this isolate may have found the session's successor in the meantime.
    let found = status::classify(task, session).await?;
    if found.is_valid(&task.now()) {
        return Ok(found);
    }
    refused
}

/// Waits for a refresh of the session, for at most [`max_wait`]. Starts the refresh unless it is in flight.
async fn refresh_or_wait(task: &Task, session: &Rc<Session>, began: &Instant) -> SessionResult {
    let mut joined = None;
    loop {
        // This request may have stopped waiting for a refresh that it has started.
        if let Some(result) = task.refreshed().take() {
            return result;
        }
        let now = task.now();
        let limit = match attempts::is_provider_silent(task) {
            true => attempts::SOON,
            false => max_wait(task, session),
        };
        let left = limit.saturating_sub(began.elapsed(&now));
        if let Some(flight) = flight_of(task, session) {
            // control: valid_token_does_not_wait
            if session.is_valid(&now) {
                return Ok(session.clone());
            }
            if left == Millis::ZERO {
                return Err(in_flight(task, session));
            }
            if joined.replace(flight) != Some(flight) {
                task.isolate().session_cache.borrow_mut().join(flight);
            }
            task.sleep(Some(flight), left).await;
        } else {
            match attempts::may_begin(task, session) {
                Ok(()) => return start_and_wait(task, session, began).await,
                Err((_, time))
                    if time <= attempts::SOON && time < left && !session.is_valid(&now) =>
                {
                    task.sleep(None, time).await;
                }
                Err((refusal, _)) => return Err(refusal),
            }
        }
        if let Some(successor) = status::successor(task, session).await? {
            return Ok(successor);
        }
    }
}

/// Starts a refresh of the session, and waits for its result until [`max_wait`] after `began`.
async fn start_and_wait(task: &Task, session: &Rc<Session>, began: &Instant) -> SessionResult {
    let left = || max_wait(task, session).saturating_sub(began.elapsed(&task.now()));
    // control: refresh_outlives_its_request
    let mut flight = Some(start(task, session));
    loop {
        // control: wait_for_refresh_is_limited
        task.sleep(flight, left()).await;
        if let Some(result) = task.refreshed().take() {
            return result;
        }
        flight = flight_of(task, session);
        if flight.is_none() || left() == Millis::ZERO {
            return Err(in_flight(task, session));
        }
    }
}

/// Returns the flight that refreshes the session in this isolate, if there is one.
fn flight_of(task: &Task, session: &Session) -> Option<FlightId> {
    let cache = task.isolate().session_cache.borrow();
    cache.flight(&session.sid, &task.now())
}

/// Returns the refusal of a request that has waited for a refresh as long as it may. The refresh may be waiting for the
/// coordinator.
fn in_flight(task: &Task, session: &Session) -> Refusal {
    match coordinator::has_failed(task) {
        true => record_store::unavailable(task, &session.sid),
        false => later(msg!("the session is being refreshed")),
    }
}

/// Starts the refresh as a task of its own, since the provider may respond when the request has ended. The task puts its
/// result into [`Task::refreshed`]. Returns the task's flight.
fn start(task: &Task, session: &Rc<Session>) -> FlightId {
    let (request, own) = (task.clone(), session.clone());
    task.start_flight(&session.sid, move |part| async move {
        let (began, brings_tokens) = (part.own_time(), Cell::new(false));
        let result = rotate(&part, &own, &brings_tokens).await;
        let duration = began.elapsed(&part.own_time());
        observe(&part, &own, &result, brings_tokens.get(), duration);
        request.refreshed().set(Some(result));
    })
}

/// Emits an event for the observer about a refresh that has ended. `brings_tokens` is true if the provider issued tokens.
fn observe(
    part: &Task,
    session: &Session,
    result: &SessionResult,
    brings_tokens: bool,
    duration: Millis,
) {
    let cache = part.isolate().session_cache.borrow();
    let waiting = cache.waiting(part.flight());
    drop(cache);
    let code = match result {
        Err(Refusal::Later(error, _)) => Some(error.code()),
        Err(Refusal::Interaction) => Some(Code::InteractionRequired),
        _ => None,
    };
    let result = match result {
        Ok(_) if brings_tokens => RefreshResult::Renewed,
        Ok(_) => RefreshResult::Superseded,
        Err(Refusal::Ended(_)) => RefreshResult::Ended,
        Err(Refusal::Interaction) => RefreshResult::InteractionRequired,
        Err(_) => RefreshResult::Failed,
    };
    let ProviderResult { status, cause } = part.provider_result();
    part.observe_session(
        session,
        Happened::Refresh {
            result,
            code,
            status,
            cause,
            duration,
            waiting,
        },
    );
}

/// Returns the longest time for which a request waits for a refresh. If another flight holds the lease, the request
/// waits for longer than a lease: some platforms end an isolate with its last request, and no isolate would ever take over.
fn max_wait(task: &Task, session: &Session) -> Millis {
    let limit = task.config().flow.request_timeout;
    match lease::is_held_elsewhere(task, &session.sid) {
        true => limit.max(LEASE + TAKE_OVER),
        false => limit,
    }
}

/// Returns the longest time of one attempt. With DPoP, the provider may require a nonce and a second request.
fn longest_attempt(task: &Task) -> Millis {
    let flow = &task.config().flow;
    let requests = if flow.uses_dpop { 2 } else { 1 };
    Millis(flow.refresh_timeout.0 * requests)
}

/// Refreshes the session in three steps: writes the intent, exchanges the refresh token, and commits the new tokens.
/// Sets `brings_tokens` if the provider has issued tokens.
async fn rotate(task: &Task, session: &Rc<Session>, brings_tokens: &Cell<bool>) -> SessionResult {
    // Metadata and keys are fetched before the intent is written, since these requests would use up the intent's time.
    if let Err(error) = documents::load(task).await {
        let outcome = RefreshOutcome::Transient(error.message().to_owned());
        attempts::record(task, session, &outcome);
        task.refresh_failed(&[msg!("a refresh failed: "), error.message()].concat());
        return Err(Refusal::Later(error, attempts::until_next(task, session)));
    }
    if let Some(successor) = acquire_lease(task, session).await? {
        let mut cache = task.isolate().session_cache.borrow_mut();
        cache.outage.was_not_tried();
        return Ok(successor);
    }
    let requested = task.now().wall;
    let outcome = exchange(task, session).await;
    attempts::record(task, session, &outcome);
    if outcome.has_failed() {
        // All outcomes share one call of `release`, because each call compiles to a copy of the function.
        boxed(lease::release(task)).await;
    }
    if outcome.may_pass()
        && let Some(successor) = status::successor(task, session).await?
    {
        return Ok(successor);
    }
    match outcome {
        RefreshOutcome::Renewed(ref tokens) | RefreshOutcome::Rotated(ref tokens, _) => {
            brings_tokens.set(true);
            for warning in outcome.warnings(msg!("a session")) {
                task.fault(&warning);
            }
            accept_tokens(task, session, (**tokens).clone(), requested).await
        }
        RefreshOutcome::Ended => {
            lease::give_up(task);
            on_refused(task, session).await
        }
        // control: interaction_required_keeps_session
        RefreshOutcome::InteractionRequired(_) => Err(Refusal::Interaction),
        RefreshOutcome::Misconfigured(code) => Err(client_rejected(task, session, &code)),
        RefreshOutcome::Wait(status, time) => Err(told_to_wait(task, session, status, time)),
        RefreshOutcome::Unexplained(why) => Err(suspected(task, &why)),
        RefreshOutcome::NotOAuth(why) if attempts::is_suspected(task, session) => {
            Err(suspected(task, &why))
        }
        // Only hosts in browsers report this outcome.
        RefreshOutcome::Opaque => Err(failed(task, session, msg!("there was no response"))),
        // control: provider_failure_keeps_session
        RefreshOutcome::NotOAuth(why) | RefreshOutcome::Transient(why) => {
            // control: events_name_no_token
            task.refresh_failed(&[msg!("a refresh failed: "), &why].concat());
            Err(failed(task, session, &why))
        }
    }
}

/// Reports a session that is suspected. It is kept.
fn suspected(task: &Task, why: &str) -> Refusal {
    let message = [
        msg!("a refresh was refused without a usable error code: "),
        why,
    ];
    task.fault_of(Code::InteractionRequired, &message);
    Refusal::Interaction
}

/// Reports that the provider rejected the client. The session is kept.
fn client_rejected(task: &Task, session: &Rc<Session>, code: &str) -> Refusal {
    let line = [
        msg!(
            "the provider refuses this client, so this process can refresh no session; check client.id and client.auth; sessions are kept: "
        ),
        code,
    ];
    if task.fault_seldom(Seldom::Client, &line.concat()) {
        task.isolate().client_refusal.note_line();
    }
    let error = refresh_policy::client_rejected(code);
    Refusal::Later(error, attempts::until_next(task, session))
}

/// Reports that the provider asked to wait. The session is kept.
fn told_to_wait(task: &Task, session: &Rc<Session>, status: u16, time: Millis) -> Refusal {
    let [code, seconds] = [status.into(), time.as_secs()].map(json::digits);
    let message = [
        msg!("the provider asked to wait before the next refresh: status "),
        &code,
        msg!("; seconds: "),
        &seconds,
    ];
    task.refresh_failed(&message.concat());
    let error = Error::of(Code::ProviderUnavailable, &message);
    Refusal::Later(error, attempts::until_next(task, session))
}

/// Returns the refusal after a failed refresh. The session is kept.
fn failed(task: &Task, session: &Rc<Session>, why: &str) -> Refusal {
    let error = Error::new(Code::ProviderUnavailable, why);
    Refusal::Later(error, attempts::until_next(task, session))
}

/// Takes the lease by writing the intent, and returns `None`. If another isolate has refreshed already, returns the
/// successor instead. Waits while another flight may be alive that holds the lease.
async fn acquire_lease(task: &Task, session: &Rc<Session>) -> Result<Option<Rc<Session>>, Refusal> {
    let is_up = coordinator::is_up(task);
    if !is_up {
        return Err(record_store::unavailable(task, &session.sid));
    }
    let (mut failures, mut conflicts) = (0, 0);
    let mut watch = Watch::begin(task);
    loop {
        if failures > 0 {
            if failures == INTENTS || session.is_valid(&task.now()) {
                return Err(record_store::unavailable(task, &session.sid));
            }
            task.pause(PAUSE).await;
        }
        let Ok(fetched) = record_store::fetch(task, session).await else {
            failures += 1;
            continue;
        };
        if let Some(successor) = status::successor(task, session).await? {
            return Ok(Some(successor));
        }
        let now = task.now();
        if let Some(time) = watch.time_left(task, &session.sid, &fetched) {
            if session.is_valid(&now) {
                return Err(later(msg!("the session is being refreshed")));
            }
            let version = fetched.stored.version;
            let reply = record_store::wait_for_change(task, &session.sid, version, time).await;
            // A coordinator may return early, and must not be asked again without a pause.
            if !matches!(reply, Reply::Waited) {
                task.pause(PAUSE).await;
            }
            continue;
        }
        let Stored { version, record } = fetched.stored;
        let mut record = record.unwrap_or_else(|| Rc::new(Record::of(session, now.wall)));
        // The record of a session in a cookie has no tokens before its first refresh, if it was made to bind the session.
        if record.session.is_none() && record.generation == session.generation {
            Rc::make_mut(&mut record).session = Some(session.clone());
        }
        let since = task.mark();
        let intent = lease::intent(task, &record);
        Rc::make_mut(&mut record).intent = Some(intent);
        match record_store::write(task, session, version, &record).await {
            Ok(Some(version)) => {
                lease::hold(task, session, version, record, since);
                return Ok(None);
            }
            Ok(None) => {
                conflicts += 1;
                if conflicts == CONFLICTS {
                    let why =
                        msg!("the coordinator refused 20 writes of one session's record in a row");
                    task.fault_seldom(Seldom::RecordConflict, why);
                    coordinator::avoid(task);
                    return Err(record_store::unavailable(task, &session.sid));
                }
            }
            Err(Unreachable) => failures += 1,
        }
    }
}

/// Sends the refresh token. Repeats the request soon after a temporary failure, such as a lost response, and after a
/// refusal without a usable error code.
async fn exchange(task: &Task, session: &Rc<Session>) -> RefreshOutcome {
    let began = task.now();
    let longest = longest_attempt(task) + RETRY_BUDGET;
    let mut pause = PAUSE;
    let mut attempt = 1;
    let mut refusals = 0;
    let mut first_failure: Option<String> = None;
    loop {
        // The metadata may have expired since `rotate` loaded it.
        let metadata = documents::metadata(task).await;
        // Another flight may have taken the lease over in the meantime, and recorded the successor.
        if !lease::outlasts_a_write(task) {
            return transient(attempts::LEASE_LOST);
        }
        let outcome = match metadata {
            Ok(metadata) => {
                let response = tokens::send_refresh(task, &metadata, session).await;
                refresh_policy::classify(&response, task.config().flow.wanted_tokens())
            }
            Err(_) => transient(msg!("the provider's metadata could not be loaded")),
        };
        // After an unusable response, the provider refuses the repeated request, because the refresh token is consumed.
        if let (RefreshOutcome::Ended, Some(why)) = (&outcome, &first_failure) {
            let message = [
                msg!(
                    "the provider refused a repeated refresh, and the session ends; the first attempt failed: "
                ),
                why,
            ];
            task.fault_of(Code::ProviderUnavailable, &message);
        }
        let is_unexplained = matches!(outcome, RefreshOutcome::Unexplained(_));
        refusals += u32::from(is_unexplained);
        if attempt == ATTEMPTS || !outcome.may_pass() {
            // The session is suspected only if all attempts were refused without a usable error code. Here, at least
            // one attempt failed for another reason.
            if is_unexplained && refusals < ATTEMPTS {
                return transient(UNEXPLAINED);
            }
            return outcome;
        }
        attempt += 1;
        first_failure.get_or_insert(match outcome {
            RefreshOutcome::NotOAuth(why) | RefreshOutcome::Transient(why) => why,
            _ => UNEXPLAINED.to_owned(),
        });
        task.pause(pause).await;
        pause = pause + pause;
        if began.elapsed(&task.now()) >= longest {
            return transient(msg!("it took too long"));
        }
        if let Some(why) = attempts::reason_to_stop(task) {
            return transient(why);
        }
        boxed(lease::renew(task)).await;
    }
}

fn transient(why: &str) -> RefreshOutcome {
    RefreshOutcome::Transient(why.to_owned())
}

/// Verifies the ID token that came with the tokens, and commits the tokens.
async fn accept_tokens(
    task: &Task,
    session: &Rc<Session>,
    tokens: TokenSet,
    requested: u64,
) -> SessionResult {
    let id_token = match verification::verify_refreshed(task, session, &tokens).await {
        Ok(id_token) => id_token,
        Err(mismatch) => {
            let (latest, reason, message) = match &mismatch {
                Mismatch::OtherUser => (
                    Rc::new(session.renewed(tokens, requested)),
                    EndReason::Security,
                    [
                        msg!(
                            "a refresh brought the ID token of another user or issuer; the session was ended"
                        ),
                        "",
                    ],
                ),
                // The new tokens are not revoked: the grant may be that of another session, too.
                Mismatch::OtherClaims(error) => (
                    session.clone(),
                    EndReason::ClaimsChanged,
                    [error.message(), msg!("; the session was ended")],
                ),
            };
            task.fault_of(Code::IdTokenInvalid, &message);
            lease::give_up(task);
            end::end_session(task, &latest, reason).await;
            return Err(Refusal::Ended(reason));
        }
    };
    let known = [&session.scope, " ", &task.config().flow.scope].concat();
    if let Some(exceeded) = tokens.scope_beyond(&known) {
        task.fault(&exceeded);
    }
    let mut successor = session.renewed(tokens, requested);
    if let Some(id_token) = id_token {
        successor = successor
            .ending_with(&id_token, requested)
            .with_latest(&id_token);
    }
    commit(task, Rc::new(successor)).await
}

async fn commit(task: &Task, successor: Rc<Session>) -> SessionResult {
    let (mut version, mut before) = match lease::give_up(task) {
        Some(lease) => (lease.version, Some(lease.record)),
        None => (None, None),
    };
    let mut pause = PAUSE;
    let mut successor = successor;
    for attempt in 1..=COMMITS {
        // Keep the later time of activity, since the user may have been active in the meantime.
        if let Some(kept) = before.as_ref().and_then(|record| record.session.as_ref()) {
            let active = successor.active.max(kept.active);
            successor = successor.active_since(active);
        }
        let next = next_record(task, before.as_deref(), &successor);
        match record_store::write(task, &successor, version.clone(), &next).await {
            // The session may have been bound during the refresh. Its cookie then needs the binding, too.
            Ok(Some(_)) => return Ok(next.session.clone().unwrap_or(successor)),
            // The record has changed: the intent expired and another isolate began a refresh, the user logged out, or a
            // cookie or activity was recorded.
            Ok(None) => {
                let Ok(fetched) = record_store::fetch(task, &successor).await else {
                    continue;
                };
                let Stored {
                    version: found,
                    record,
                } = fetched.stored;
                if let Some(record) = &record {
                    if let Some(reason) = record.ended {
                        if reason.revokes_late(&task.config().flow) {
                            tokens::revoke(task, &successor).await;
                        }
                        return Err(Refusal::Ended(reason));
                    }
                    // control: request_continues_with_the_record
                    if record.generation >= successor.generation {
                        return Ok(record.session.clone().unwrap_or(successor));
                    }
                }
                // control: commit_survives_other_writes
                (version, before) = (found, record);
            }
            Err(Unreachable) if attempt < COMMITS => {
                task.pause(pause).await;
                pause = pause + pause;
            }
            Err(Unreachable) => {}
        }
    }
    // The record could not be written. The session's cookie gets the successor, so the session continues in the browser
    // and in this isolate.
    let next = next_record(task, before.as_deref(), &successor);
    record_store::cache_unwritten(task, &successor, next);
    task.fault_seldom(
        Seldom::Unwritten,
        msg!("a refreshed session could not be written; other isolates learn of it when its new cookie is sent"),
    );
    Ok(successor)
}

/// Returns the record that follows `before`, with `successor` as the session's next generation.
fn next_record(task: &Task, before: Option<&Record>, successor: &Rc<Session>) -> Rc<Record> {
    let now = task.now().wall;
    Rc::new(match before {
        Some(record) => record.followed_by(successor, now),
        None => Record::of(successor, now),
    })
}

/// Handles a refused refresh token: ends the session, unless another isolate has recorded its successor.
async fn on_refused(task: &Task, session: &Rc<Session>) -> SessionResult {
    if record_store::fetch(task, session).await.is_err() {
        return Err(record_store::unavailable(task, &session.sid));
    }
    if let Some(successor) = status::successor(task, session).await? {
        return Ok(successor);
    }
    // control: refused_token_ends_session
    end::end_session(task, session, EndReason::ProviderEnded).await;
    Err(Refusal::Ended(EndReason::ProviderEnded))
}

fn later(why: &str) -> Refusal {
    Refusal::Later(Error::new(Code::ProviderUnavailable, why), RETRY_AFTER)
}
