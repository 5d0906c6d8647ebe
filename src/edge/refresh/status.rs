//! Checks of a session that a browser presents: its limits, and its generation according to its record.

use alloc::rc::Rc;
use rules::prelude::*;

use crate::config::Storage;
use crate::event::Happened;
use crate::io::{Effect, Reply};
use crate::isolate::Seldom;
use crate::isolate::lateness::MOST_ADDED;
use crate::refresh::{bound, end};
use crate::refusal::{RETRY_AFTER, Refusal};
use crate::session::Session;
use crate::session::record::{GenerationStatus, Record};
use crate::store::coordinator::{self, Unreachable};
use crate::store::record_store;
use crate::task::{Task, boxed};
use rules::base::clock::{Millis, UnixMillis};
use rules::base::error::{Code, Error};
use rules::session::EndReason;

/// If the coordinator has no clock, a cookie is certainly a copy if it was replaced longer ago than the grace period plus
/// this time, by the clocks of two machines.
const CERTAIN: Millis = Millis::from_secs(3600);

/// The session with which a request continues, or the reason for a refusal.
pub(crate) type SessionResult = Result<Rc<Session>, Refusal>;

/// Learns the coordinator's time by a read of the session's record, unless this isolate knows it already. A session in a
/// cookie waits for it as briefly as for its record.
pub(crate) async fn find_time(task: &Task, session: &Rc<Session>, found_in: Storage) {
    if task.isolate().clock.is_unknown() && coordinator::is_up(task) {
        // A record that was read a moment ago does not tell what time it is now.
        record_store::invalidate(task, session);
        if may_hurry(task, session, found_in) {
            boxed(record_store::fetch_briefly(task, session)).await;
        } else {
            let _ = boxed(record_store::fetch_if_due(task, session)).await;
        }
    }
}

/// Returns true if a request need not wait for the record of its session.
fn may_hurry(task: &Task, presented: &Session, found_in: Storage) -> bool {
    found_in == Storage::SealedInCookie
        && task.config().recheck != Millis::ZERO
        && presented.is_valid(&task.now())
        && !bound::must_be_bound(task, presented)
        && !bound::may_have_been_bound(task, presented)
}

/// Returns the session unless it has reached a limit. At a limit, usually ends the session, and returns the refusal.
pub(crate) async fn check_limits(
    task: &Task,
    presented: Rc<Session>,
    found_in: Storage,
) -> SessionResult {
    match end::limit_reached(task, &presented) {
        None => Ok(presented),
        Some(_) => boxed(on_limit(task, presented, found_in)).await,
    }
}

/// Returns the limit that the session has certainly reached, if any. If this isolate does not know the time, reads it. If it
/// cannot, refuses the request.
async fn limit_for_certain(task: &Task, session: &Session) -> Result<Option<EndReason>, Refusal> {
    let reached = end::limit_reached(task, session);
    // control: unknown_time_ends_no_session
    if reached.is_none() || !task.isolate().clock.is_unknown() {
        return Ok(reached);
    }
    match boxed(record_store::fetch(task, session)).await {
        Ok(_) => Ok(end::limit_reached(task, session)),
        Err(Unreachable) => Err(record_store::unavailable(task, &session.sid)),
    }
}

/// Refuses a session that has reached a limit, and usually ends it. If the session only seemed idle, because its record
/// has later activity, returns the session.
async fn on_limit(task: &Task, presented: Rc<Session>, found_in: Storage) -> SessionResult {
    // Read the record, since another isolate may have recorded later activity.
    let fetched = record_store::fetch(task, &presented).await;
    let Some(reason) = limit_for_certain(task, &presented).await? else {
        return Ok(presented);
    };
    // If the session ended earlier, return the reason of that end.
    let record = record_store::cached(task, &presented.sid).record;
    // control: earlier_end_counts
    if let Some(before) = record.as_ref().and_then(|record| record.ended) {
        return Err(Refusal::Ended(before));
    }
    if reason != EndReason::Idle {
        end::end_session(task, &presented, reason).await;
        return Err(Refusal::Ended(reason));
    }
    if let Some(active) = later_activity(task, &presented) {
        return Ok(presented.active_since(active));
    }
    // The presented copy only seems idle. The session has reached another limit, perhaps one that a refresh has stated.
    if let Some(latest) = record.and_then(|record| record.session.clone())
        && latest.generation >= presented.generation
        && let Some(reached) = end::limit_reached(task, &latest)
        && reached != EndReason::Idle
    {
        end::end_session(task, &latest, reached).await;
        return Err(Refusal::Ended(reached));
    }
    // Only a stored session is ended here, because its data is current. A cookie may be an older copy of a session that
    // continues.
    if found_in == Storage::InStore {
        if fetched.is_err() {
            return Err(record_store::unavailable(task, &presented.sid));
        }
        end::end_session(task, &presented, reason).await;
        if let Some(active) = later_activity(task, &presented) {
            // The user returned before the end was written.
            return classify(task, presented.active_since(active)).await;
        }
    }
    Err(Refusal::Ended(reason))
}

/// Returns the time of the last activity in the record, if the session has not reached a limit according to the record.
fn later_activity(task: &Task, presented: &Rc<Session>) -> Option<UnixMillis> {
    let latest = record_store::cached(task, &presented.sid)
        .record?
        .session
        .clone()?;
    let is_later = latest.generation >= presented.generation;
    (is_later && end::limit_reached(task, &latest).is_none()).then_some(latest.active)
}

/// Compares a presented session with its record, as far as the record can be read.
pub(crate) async fn sync_with_record(
    task: &Task,
    presented: Rc<Session>,
    found_in: Storage,
) -> SessionResult {
    // If the coordinator cannot be reached, the cached record decides, and a valid token remains in use.
    let is_read = if may_hurry(task, &presented, found_in) {
        record_store::fetch_briefly(task, &presented).await
    } else {
        let fetched = record_store::fetch_if_due(task, &presented).await;
        if fetched.is_err() && bound::must_be_bound(task, &presented) {
            return Err(record_store::unavailable(task, &presented.sid));
        }
        true
    };
    bound::check(task, &presented)?;
    bound::check_required(task, &presented)?;
    if let Some(binding) = &presented.bound {
        bound::restore(task, &presented, binding, found_in);
    }
    let session = classify(task, presented.clone()).await?;
    // While the record is being read, the next request with this cookie has to note it.
    if found_in == Storage::SealedInCookie && is_read {
        record_presented(task, &presented).await;
    }
    Ok(session)
}

/// Records the time at which a cookie of this generation was first presented. From this time on, cookies of earlier
/// generations count as replaced.
async fn record_presented(task: &Task, presented: &Rc<Session>) {
    let change = |record| with_presented(task, presented, record);
    // The next request with this cookie tries again.
    let _ = record_store::update(task, presented, &change).await;
}

/// Returns the record in which a cookie of this generation was presented. Returns `None` if there is nothing to record.
fn with_presented(
    task: &Task,
    presented: &Rc<Session>,
    record: Option<Rc<Record>>,
) -> Option<Rc<Record>> {
    let now = task.now();
    let record = match record {
        Some(record) if record.ended.is_some() => return None,
        Some(record) => record,
        None if presented.generation == 0 => return None,
        // The cache has no record if this isolate last read the coordinator's entry before the first refresh.
        None => Rc::new(Record::of(presented, now.wall)),
    };
    // A session newer than its record was refreshed by an isolate that could not commit.
    let record = if presented.generation > record.generation {
        Rc::new(record.followed_by(presented, now.wall))
    } else {
        record
    };
    // A process that reads the times of another clock finds copies later: see `copied`.
    let doubt = match task.isolate().clock.is_shared() {
        true => Millis::ZERO,
        false => CERTAIN,
    };
    // So does a process after a late period: see `Task::lateness`.
    let grace = task.config().grace + doubt + MOST_ADDED;
    let is_up = coordinator::is_up(task);
    // control: presented_cookies_are_recorded
    let noted = record.with_presented(presented.generation, grace, now.wall);
    noted.filter(|_| is_up).map(Rc::new)
}

/// Reads the record again after some time has passed, and returns the session or its successor. If `is_cache_enough` is
/// true, the cached record suffices while the coordinator is down.
pub(crate) async fn recheck(
    task: &Task,
    session: Rc<Session>,
    is_cache_enough: bool,
) -> SessionResult {
    if record_store::fetch(task, &session).await.is_err() && !is_cache_enough {
        return Err(record_store::unavailable(task, &session.sid));
    }
    classify(task, session).await
}

/// The relation of a presented cookie to the one that has replaced it.
#[derive(Clone, Copy, PartialEq)]
enum Copied {
    /// The browser may have sent the cookie before it had a later one.
    No,
    /// The cookie was replaced long ago, but the request may have waited for this process longer than is accepted.
    Perhaps,
    /// The cookie was replaced longer ago than the grace period.
    Yes,
}

/// Returns how a presented cookie compares with its successor. The session counts as presented when the request arrived,
/// even if the request waited since then: in a task, or before this process read it.
fn copied(task: &Task, presented: &Session, record: &Record) -> Copied {
    // control: unpresented_cookies_replace_nothing
    let Some(later) = record.replaced_by(presented.generation) else {
        return Copied::No;
    };
    let (grace, arrived) = (task.grace(), task.arrived());
    let age = Millis(arrived.wall.saturating_sub(later.at));
    let over = match task.isolate().clock.is_shared() {
        // control: grace_period
        true => age.saturating_sub(grace),
        false => {
            // Another isolate, whose clock differs, has written the time.
            let cache = task.isolate().session_cache.borrow();
            let seen = cache.get(&presented.sid).map_or(Millis::ZERO, |cached| {
                cached.presented_for(later.generation, &arrived)
            });
            // control: replay_is_certain
            let certainly = age.saturating_sub(grace + CERTAIN);
            certainly.max(seen.saturating_sub(grace))
        }
    };
    // control: late_request_is_no_copy
    if over <= task.accepted_lateness() {
        Copied::No
    } else if over <= task.lateness() {
        Copied::Perhaps
    } else {
        Copied::Yes
    }
}

/// Refuses a request whose cookie may be a copy, or may have waited for this process. The session lives.
fn refuse_late(task: &Task) -> Refusal {
    let why = msg!(
        "the cookie of a request was replaced long ago, but its client has left, or this process stood still or was too busy to read the request in time"
    );
    task.fault_seldom(Seldom::Late, why);
    Refusal::Later(Error::new(Code::LimitExceeded, why), RETRY_AFTER)
}

/// Returns true unless the client has left. A client that waited through a late period of more than the grace period has
/// usually left.
async fn is_client_there(task: &Task) -> bool {
    !matches!(task.perform(Effect::Client).await, Reply::Connected(false))
}

/// Classifies a presented session by its cached record. Before the session ends, its record is read, which also brings the
/// coordinator's time.
pub(crate) async fn classify(task: &Task, presented: Rc<Session>) -> SessionResult {
    let Some(mut record) = record_store::cached(task, &presented.sid).record else {
        return Ok(presented);
    };
    if copied(task, &presented, &record) != Copied::No {
        if boxed(record_store::fetch(task, &presented)).await.is_err()
            && task.isolate().clock.is_unknown()
        {
            return Err(record_store::unavailable(task, &presented.sid));
        }
        record = record_store::cached(task, &presented.sid)
            .record
            .unwrap_or(record);
    }
    // The session may have been bound since this request was checked.
    // control: later_binding_counts
    if bound::is_copy(task, &presented) {
        bound::check(task, &presented)?;
    }
    let copied = copied(task, &presented, &record);
    let mut status = record.status(&presented, copied != Copied::No);
    // A copy of a bound session's cookie is refused without the bound cookie, and need not end the session.
    // control: replaced_cookie_keeps_bound_session
    if let (GenerationStatus::Replayed, Some(session)) = (&status, &record.session)
        && bound::ignores_replaced_cookies(task, &record)
    {
        status = GenerationStatus::Succeeded(session);
    }
    match status {
        GenerationStatus::Ended(reason) => Err(Refusal::Ended(reason)),
        GenerationStatus::Succeeded(session) => {
            let active = session.active.max(presented.active);
            continue_with(task, session.clone().active_since(active)).await
        }
        GenerationStatus::Replayed
            if copied == Copied::Perhaps || !boxed(is_client_there(task)).await =>
        {
            Err(refuse_late(task))
        }
        // control: replayed_cookie_ends_session
        GenerationStatus::Replayed => Err(end_copied(task, &presented, &record).await),
        GenerationStatus::Ahead | GenerationStatus::Current => Ok(match &record.bound {
            Some(bound) => presented.with_binding(bound),
            None => presented,
        }),
    }
}

/// Returns the successor of a presented session, unless this successor has already reached one of its limits: a refresh
/// may have brought an earlier end than the one in the presented cookie.
async fn continue_with(task: &Task, session: Rc<Session>) -> SessionResult {
    let reached = boxed(limit_for_certain(task, &session)).await?;
    match reached.filter(|reason| *reason != EndReason::Idle) {
        None => Ok(session),
        Some(reason) => {
            boxed(end::end_session(task, &session, reason)).await;
            Err(Refusal::Ended(reason))
        }
    }
}

/// Ends a session because a copy of its cookie was presented.
async fn end_copied(task: &Task, presented: &Rc<Session>, record: &Record) -> Refusal {
    task.fault_of(
        Code::SessionReplayed,
        &[msg!(
            "a cookie was presented after it had been replaced; the session was ended"
        )],
    );
    task.observe_session(presented, Happened::CopyRefused(Code::SessionReplayed));
    // The session in the record has the latest tokens, which are to be revoked.
    let latest = record.session.as_ref().unwrap_or(presented);
    boxed(end::end_session(task, latest, EndReason::Security)).await;
    Refusal::Ended(EndReason::Security)
}

/// Returns the session's successor, if the cached record has one.
pub(crate) async fn successor(
    task: &Task,
    session: &Rc<Session>,
) -> Result<Option<Rc<Session>>, Refusal> {
    let found = classify(task, session.clone()).await?;
    // control: refresh_yields_to_successor
    Ok(Some(found).filter(|found| found.generation > session.generation))
}
