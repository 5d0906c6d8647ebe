//! Checks that a request of a bound session has the bound cookie, which proves that the request comes from the browser that
//! has the session's key.
//!
//! Without the bound cookie a request has no effect on the session: it presents no generation, counts as no activity, and
//! neither refreshes nor ends the session. There is one exception: a login ends the browser's previous session even without
//! it. So a thief with a copy of a bound session's cookie can end the session by a login, but cannot use it.

use alloc::rc::Rc;
use rules::prelude::*;

use crate::config::{Bind, Storage};
use crate::event::Happened;
use crate::isolate::Seldom;
use crate::refusal::Refusal;
use crate::session::Session;
use crate::session::binding::{Binding, OFFERED, REGISTRATION_LIFE, SECOND_OFFER, offers_end};
use crate::session::bound_cookie::{Subject, Use};
use crate::session::record::Record;
use crate::store::coordinator;
use crate::store::record_store;
use crate::task::Task;
use rules::base::clock::Millis;
use rules::base::error::Code;
use rules::session::EndReason;

/// Returns the session's binding, according to its cookie or to its record as far as this isolate knows it.
pub(crate) fn binding(task: &Task, session: &Session) -> Option<Binding> {
    let record = record_store::cached(task, &session.sid).record;
    let recorded = record.and_then(|record| record.bound.clone());
    recorded.or_else(|| session.bound.clone())
}

/// Returns true if a replaced cookie does not end the session of this record: a copy of the cookie is useless, because
/// the session is bound.
pub(crate) fn ignores_replaced_cookies(task: &Task, record: &Record) -> bool {
    record.bound.is_some() && task.bound_cookie().mode.is_enforced()
}

/// Puts the binding of a session back into the cached record if the store has lost it. The next read of the record writes
/// it. Otherwise the handler would accept a copy from before the binding. Its next refresh would write a record
/// without the binding, and the user's session would be unprotected.
pub(crate) fn restore(task: &Task, session: &Session, binding: &Binding, found_in: Storage) {
    if task.bound_cookie().mode == Bind::Off {
        return;
    }
    let record = record_store::cached(task, &session.sid).record;
    let restored = match record.as_deref() {
        Some(record) if record.bound.is_some() || record.ended.is_some() => return,
        Some(record) => record.with_binding(binding.clone()),
        None if found_in == Storage::InStore => return,
        None => Record::of_bound(binding.clone(), task.now().wall),
    };
    record_store::cache_unwritten(task, session, Rc::new(restored));
}

/// Refuses the request of a bound session without its bound cookie, as far as this isolate knows of the binding.
pub(crate) fn check(task: &Task, session: &Session) -> Result<(), Refusal> {
    match lacks_bound_cookie(task, session) {
        true => refuse(task, session, task.bound_cookie().mode),
        false => Ok(()),
    }
}

/// Returns true if [`check`] refuses or reports the request.
pub(crate) fn lacks_bound_cookie(task: &Task, session: &Session) -> bool {
    if task.bound_cookie().mode == Bind::Off {
        return false;
    }
    let Some(binding) = binding(task, session) else {
        return false;
    };
    let (read, lateness) = (task.arrived().wall, task.accepted_lateness());
    // control: requests_in_flight_pass
    let passes = has_bound_cookie(task, session, &binding)
        || binding.was_in_flight(read, lateness, task.now().wall);
    !passes
}

/// Returns true if [`check`] refuses the request.
pub(crate) fn is_copy(task: &Task, session: &Session) -> bool {
    task.bound_cookie().mode.is_enforced() && lacks_bound_cookie(task, session)
}

/// Reads the session's record, unless the coordinator is down, and checks the request as [`check`] does. Without the record,
/// refuses a session that must be bound by now.
pub(crate) async fn check_with_record(task: &Task, session: &Rc<Session>) -> Result<(), Refusal> {
    if task.bound_cookie().mode == Bind::Off {
        return Ok(());
    }
    // If the coordinator is down, the cookie and the cached record decide.
    let read = record_store::fetch_if_due(task, session).await;
    check(task, session)?;
    if read.is_err() && is_refused_as_unbound(task, session) {
        return Err(record_store::unavailable(task, &session.sid));
    }
    Ok(())
}

/// Returns true if the request has the bound cookie of this session and key.
fn has_bound_cookie(task: &Task, session: &Session, binding: &Binding) -> bool {
    let subject = Subject {
        sid: &session.sid,
        thumbprint: &binding.thumbprint,
    };
    let presented = task.bound_cookie();
    let value = presented.value.as_deref();
    let sent = task.earliest_arrival();
    let sent = sent.saturating_sub(task.accepted_lateness().0);
    // control: bound_cookie_is_verified
    value.is_some_and(|value| subject.verify(task.config(), Use::Cookie, value, sent))
}

/// Refuses the request of a session that must be bound by now, or only reports it, according to `session.bind`. Called
/// after the session's record was read.
pub(crate) fn check_required(task: &Task, session: &Session) -> Result<(), Refusal> {
    let mode = task.bound_cookie().mode;
    report_unbound(task, session);
    let is_asked = matches!(mode, Bind::Required | Bind::Report);
    if !is_asked || !is_still_unbound(task, session) || binding(task, session).is_some() {
        return Ok(());
    }
    // control: required_refuses_unbound_session
    if mode == Bind::Required {
        return if waits_for_offer(task, session) && end_of(task, session).is_none() {
            Err(Refusal::BoundCookieMissing { was_skipped: true })
        } else {
            refuse(task, session, mode)
        };
    }
    let message = msg!(
        "a session is not bound: its browser cannot bind sessions, or it began before `session.bind` was set; 'required' would refuse it"
    );
    task.fault_seldom(Seldom::NotBound, message);
    Ok(())
}

/// Returns true if the session must be bound by now, and its cookie says that it is not. The session's record may be newer.
pub(crate) fn must_be_bound(task: &Task, session: &Session) -> bool {
    task.bound_cookie().mode == Bind::Required && is_still_unbound(task, session)
}

/// Reports a session that stays unbound after all offers, although its browser has bound another one.
fn report_unbound(task: &Task, session: &Session) {
    let age = Millis(task.earliest_arrival().saturating_sub(session.began));
    let is_late = age > offers_end(&task.config().flow.limits) + REGISTRATION_LIFE;
    if is_late && task.bound_cookie().has_bound && binding(task, session).is_none() {
        let message = msg!(
            "a session is not bound, although its browser has bound one before: the browser's limit of signatures for the site was reached, a proxy has lost the registration, or the session began before `session.bind` was set"
        );
        task.fault_seldom(Seldom::StaysUnbound, message);
    }
}

/// Returns true if the browser has the cookie of its login with which the registration is, or was, offered a second time. The
/// session is then refused for now, because another login would not help: the browser's limit of signatures also counts
/// there.
fn waits_for_offer(task: &Task, session: &Session) -> bool {
    let cookie = task.bound_cookie();
    let value = cookie.unbound.as_deref();
    value.is_some_and(|value| {
        is_unbound_cookie(task, session, Use::SecondOffer, value)
            || is_unbound_cookie(task, session, Use::Offered, value)
    })
}

/// Returns true if this is the session's cookie for this use.
fn is_unbound_cookie(task: &Task, session: &Session, what: Use, value: &str) -> bool {
    let subject = Subject::without_key(&session.sid);
    subject.verify(task.config(), what, value, task.earliest_arrival())
}

/// Returns true if the registration of the session's key may be offered a second time now.
pub(crate) fn is_second_offer_due(task: &Task, session: &Session, value: &str) -> bool {
    // The isolate of the login, whose clock may differ, has written `began`: see `SECOND_OFFER`.
    let age = task.arrived().wall.saturating_sub(session.began);
    age >= SECOND_OFFER.0 && is_unbound_cookie(task, session, Use::SecondOffer, value)
}

/// Returns true if the session's cookie says that it is not bound, and this isolate has not read the session's record since
/// the time for a registration has passed. The cookie may then be a copy from before the binding. While the coordinator is
/// down, the cookie decides.
pub(crate) fn may_have_been_bound(task: &Task, session: &Session) -> bool {
    if session.bound.is_some()
        || !task.bound_cookie().mode.is_enforced()
        || coordinator::has_failed(task)
    {
        return false;
    }
    let now = task.now();
    let cache = task.isolate().session_cache.borrow();
    let age = cache
        .get(&session.sid)
        .map_or(Millis(now.wall), |cached| cached.checked.elapsed(&now));
    // Other isolates, whose clocks differ, have written the session's begin and accepted the registration.
    let tolerance = task.tolerance();
    let latest = offers_end(&task.config().flow.limits) + REGISTRATION_LIFE + tolerance + tolerance;
    now.wall.saturating_sub(age.0) < session.began.saturating_add(latest.0)
}

/// Returns true if [`check_required`] refuses the session.
pub(crate) fn is_refused_as_unbound(task: &Task, session: &Session) -> bool {
    must_be_bound(task, session) && binding(task, session).is_none()
}

/// Returns true if the session may be bound although this isolate knows no binding, because the coordinator is down or the
/// record cannot be read, and if calls of the session fail for that reason.
pub(crate) fn is_doubtful(task: &Task, session: &Session) -> bool {
    task.bound_cookie().mode.is_enforced()
        && (coordinator::has_failed(task) || record_store::is_unreadable(task, session))
        && !session.is_valid(&task.now())
        && binding(task, session).is_none()
}

/// Returns true if the session's cookie says that the session is not bound, although the time for it has passed.
fn is_still_unbound(task: &Task, session: &Session) -> bool {
    // An isolate may have read the record before the binding, and reads it again after this time.
    let longest = OFFERED + task.config().recheck;
    let age = Millis(task.earliest_arrival().saturating_sub(session.began));
    session.bound.is_none() && age > longest
}

/// Returns the reason of the session's end, as far as this isolate knows.
fn end_of(task: &Task, session: &Session) -> Option<EndReason> {
    record_store::cached(task, &session.sid).record?.ended
}

/// Refuses a request, or only reports it, according to `session.bind`. If the session has ended, the refusal gives the
/// reason of its end.
fn refuse(task: &Task, session: &Session, mode: Bind) -> Result<(), Refusal> {
    if let Some(reason) = end_of(task, session) {
        return Err(Refusal::Ended(reason));
    }
    if mode.is_enforced() {
        let was_skipped = task.bound_cookie().was_skipped;
        let (fault, message) = match was_skipped {
            true => (
                Seldom::NotRenewed,
                msg!("a browser could not renew the bound cookie of its session"),
            ),
            false => (
                Seldom::BoundCookieMissing,
                msg!(
                    "a request of a bound session was refused, because it had no valid bound cookie: its cookie is a copy, or the browser has lost its key"
                ),
            ),
        };
        task.fault_seldom(fault, message);
        if !was_skipped {
            task.observe_session(session, Happened::CopyRefused(Code::BoundCookieMissing));
        }
        return Err(Refusal::BoundCookieMissing { was_skipped });
    }
    let message =
        msg!("a request of a bound session had no valid bound cookie; 'report' lets it pass");
    task.fault_seldom(Seldom::BoundCookieMissing, message);
    Ok(())
}
