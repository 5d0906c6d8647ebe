//! The rules for attempts to refresh a session: when this isolate may try, and what it learns from each attempt.
//!
//! A failed attempt delays the next attempt for the session, and may show that the provider is down for all sessions. The
//! isolate keeps this knowledge in memory: `isolate/cache.rs` for each session, and `isolate/outage.rs` and
//! `isolate/client_refusal.rs` for the provider.

use alloc::rc::Rc;
use rules::prelude::*;

use crate::isolate::outage;
use crate::refusal::{RETRY_AFTER, Refusal};
use crate::session::Session;
use crate::task::Task;
use rules::base::clock::{Instant, Millis};
use rules::base::error::{Code, Error};
use rules::codec::json;
use rules::oauth::refresh_policy::{RefreshOutcome, Schedule};

/// After the first failure of a session's refresh, the next attempt may start after this time. A request waits for an
/// attempt that may start within this time.
pub(super) const SOON: Millis = Millis::from_secs(1);

/// The error message for a refresh that is not tried because the provider has refused the client.
const CLIENT_REFUSED: &str = msg!("the provider refused this client a moment ago");

/// The error message for a refresh that this isolate gave up because it lost the lease.
pub(super) const LEASE_LOST: &str = msg!("another isolate took over the refresh");

/// Returns true while the provider does not respond. Then only the request that probes the provider waits longer than
/// [`SOON`].
pub(super) fn is_provider_silent(task: &Task) -> bool {
    task.isolate().session_cache.borrow().outage.is_silent()
}

/// Lets this request try the refresh, unless an attempt failed in this isolate a moment ago or the provider is down.
/// The error is the refusal, with the time until the next attempt may start.
pub(super) fn may_begin(task: &Task, session: &Rc<Session>) -> Result<(), (Refusal, Millis)> {
    let now = task.now();
    let mut cache = task.isolate().session_cache.borrow_mut();
    let client = &task.isolate().client_refusal;
    let left = client.left(&now);
    // The last failure does not count if another isolate has refreshed the session since then.
    let (code, why, left) = if let Some(cached) = cache.get(&session.sid)
        && cached.generation >= session.generation
        && !cached.schedule.is_open(&now)
    {
        let left = cache.until_attempt(&session.sid, &now).max(left);
        match cached.refused {
            None => (
                Code::ProviderUnavailable,
                msg!("the last refresh failed a moment ago"),
                left,
            ),
            Some(Code::InteractionRequired) => return Err((Refusal::Interaction, Millis::MAX)),
            Some(code) => (code, CLIENT_REFUSED, left),
        }
    } else if left > Millis::ZERO {
        (Code::ClientRejected, CLIENT_REFUSED, left)
    } else {
        let yields = cache.yields(&session.sid, &now);
        let Err(left) = cache.outage.probe(&now, yields) else {
            client.tries(&now);
            return Ok(());
        };
        let why = msg!("the provider does not respond; another request is trying it");
        (Code::ProviderUnavailable, why, left)
    };
    Err((Refusal::Later(Error::new(code, why), left), left))
}

/// Returns the time until this session may be refreshed after a failed attempt.
pub(super) fn until_next(task: &Task, session: &Rc<Session>) -> Millis {
    let cache = task.isolate().session_cache.borrow();
    let now = task.now();
    let of_all = task.isolate().client_refusal.left(&now);
    match cache.get(&session.sid) {
        Some(_) => cache.until_attempt(&session.sid, &now).max(of_all),
        None => RETRY_AFTER,
    }
}

/// Returns true if the provider seems to have ended the grant of a session, so that its user must sign in again.
pub(super) fn is_suspected(task: &Task, session: &Session) -> bool {
    let cache = task.isolate().session_cache.borrow();
    let cached = cache.get(&session.sid);
    cached.is_some_and(|cached| cached.schedule.is_suspected())
}

/// Returns the reason why a failed request to the provider must not be repeated now, if there is one.
pub(super) fn reason_to_stop(task: &Task) -> Option<&'static str> {
    let now = task.now();
    if task.isolate().client_refusal.left(&now) > Millis::ZERO {
        return Some(CLIENT_REFUSED);
    }
    let outage = &mut task.isolate().session_cache.borrow_mut().outage;
    if outage.must_wait(&now) {
        return Some(msg!("the provider asked to wait"));
    }
    let is_refused = outage.is_silent() && outage.probe(&now, true).is_err();
    is_refused.then_some(msg!("the provider does not respond"))
}

/// Records the outcome of an attempt: schedules the session's next attempt, and notes what the outcome says about the
/// provider.
pub(super) fn record(task: &Task, session: &Rc<Session>, outcome: &RefreshOutcome) {
    let now = task.now();
    let [jitter] = task.isolate().random();
    let mut cache = task.isolate().session_cache.borrow_mut();
    let cached = cache.entry(&session.sid, &now);
    // Another isolate has refreshed the session, so responses to earlier generations no longer count.
    if cached.generation < session.generation {
        cached.schedule.reset();
        cached.refused = None;
    }
    // A rotated refresh token begins a generation, to which the wait before the next attempt belongs.
    let is_rotated = matches!(outcome, RefreshOutcome::Rotated(..));
    cached.generation = session.generation.saturating_add(is_rotated.into());
    let refusal = &task.isolate().client_refusal;
    let was_refused = cached.refused == Some(Code::ClientRejected);
    // A session that is refused again, although the client has been accepted since, is alone with that.
    let pauses_all = outcome.refuses_client() && (refusal.is_active() || !was_refused);
    cached.refused = match pauses_all {
        true => Some(Code::ClientRejected),
        false => schedule_next(&mut cached.schedule, outcome, &now, jitter),
    };
    // A lost lease says nothing about the provider.
    if matches!(outcome, RefreshOutcome::Transient(why) if why == LEASE_LOST) {
        return;
    }
    if outcome.blames_provider() {
        cached.failed = Some(now);
    }
    drop(cache);
    if pauses_all {
        refusal.begin(&now);
    } else if outcome.tokens().is_some() {
        task.client_accepted();
    }
    task.change_outage(&failure(outcome), |outage| match outcome {
        RefreshOutcome::Transient(_) | RefreshOutcome::Opaque => {
            outage.failed(&session.sid, &now, jitter);
        }
        RefreshOutcome::Wait(status, time) => {
            let user = session.user();
            let user = user.as_ref().map_or("", |user| user.subject());
            let user = if user.is_empty() { &session.sid } else { user };
            outage.told_to_wait(user, &now, *status, *time, jitter);
        }
        // A gateway says nothing about the provider.
        RefreshOutcome::NotOAuth(_) => outage.was_not_tried(),
        _ => outage.end(),
    });
}

/// Schedules the next attempt of a session. Returns the error code with which its requests are refused until then, if the
/// provider has refused the refresh.
fn schedule_next(
    schedule: &mut Schedule,
    outcome: &RefreshOutcome,
    now: &Instant,
    jitter: u8,
) -> Option<Code> {
    schedule.started();
    match outcome {
        RefreshOutcome::Renewed(_) | RefreshOutcome::Ended => {
            schedule.reset();
            None
        }
        RefreshOutcome::Wait(_, time) => {
            schedule.told_to_wait(now, *time);
            None
        }
        RefreshOutcome::InteractionRequired(_) => {
            schedule.blocked(now);
            Some(Code::InteractionRequired)
        }
        RefreshOutcome::Misconfigured(_) => {
            schedule.blocked(now);
            Some(Code::ClientRejected)
        }
        RefreshOutcome::Unexplained(_) => {
            // `exchange` returns this outcome only after enough attempts to suspect the session.
            schedule.suspect();
            try_suspected(schedule, now, jitter);
            Some(Code::InteractionRequired)
        }
        RefreshOutcome::NotOAuth(_) => {
            schedule.refused_by_gateway(now);
            if schedule.is_suspected() {
                try_suspected(schedule, now, jitter);
                Some(Code::InteractionRequired)
            } else {
                try_again(schedule, now, jitter);
                None
            }
        }
        RefreshOutcome::Rotated(..) | RefreshOutcome::Transient(_) | RefreshOutcome::Opaque => {
            try_again(schedule, now, jitter);
            None
        }
    }
}

/// Schedules the next attempt for a suspected session.
fn try_suspected(schedule: &mut Schedule, now: &Instant, jitter: u8) {
    schedule.failed(now, jitter);
    // In the handler, only calls cause attempts.
    schedule.called();
}

/// Schedules the next attempt after a failure that may pass. After the first failure, the next attempt comes soon.
fn try_again(schedule: &mut Schedule, now: &Instant, jitter: u8) {
    let wait = match schedule.has_failed() {
        true => outage::interval(jitter),
        false => SOON,
    };
    schedule.told_to_wait(now, wait);
}

/// Returns the reason why the provider counts as down, for the operator.
fn failure(outcome: &RefreshOutcome) -> String {
    match outcome {
        RefreshOutcome::Transient(why) => why.clone(),
        RefreshOutcome::Wait(_, time) => {
            let mut why = msg!("it asked to wait ").to_owned();
            json::write_number(&mut why, time.as_secs());
            why.push_str(" s");
            why
        }
        _ => msg!("it does not respond").to_owned(),
    }
}
