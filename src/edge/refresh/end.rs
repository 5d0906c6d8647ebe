//! The end of a session: the session's record is marked as ended, and its refresh token is revoked if the reason calls
//! for a revocation.

use alloc::rc::Rc;
use rules::prelude::*;

use crate::event::{Event, Happened};
use crate::isolate::Seldom;
use crate::provider::tokens;
use crate::refresh::bound;
use crate::session::Session;
use crate::session::key;
use crate::session::record::{Record, Stored};
use crate::store::coordinator::{self, Unreachable};
use crate::store::order::Order;
use crate::store::record_store::{self, Fetched};
use crate::task::Task;
use rules::base::clock::{Instant, Millis};
use rules::session::EndReason;

/// Largest number of attempts to write the end of a session.
const ATTEMPTS: u32 = 5;

/// The pause before the next attempt if the record could not be read.
const PAUSE: Millis = Millis(200);

/// While the coordinator fails, no further attempt to write the end of a session begins after this time.
const END_BUDGET: Millis = Millis::from_secs(3);

/// Ends a session everywhere: marks its record as ended, and revokes its refresh token if the reason calls for a
/// revocation. If a back-channel logout or an order has ended the session, its reason replaces `reason`.
/// Returns true if the provider has confirmed the revocation and cannot have issued a newer refresh token.
pub(crate) async fn end_session(task: &Task, session: &Rc<Session>, reason: EndReason) -> bool {
    let _guard = task.keep_alive();
    let end = write_end(task, session, reason, task.now(), false).await;
    revoke_ended(task, end, reason).await
}

/// Ends a session by a logout, and returns the same value as [`end_session`]. [`END_BUDGET`] starts with the request. Ends
/// nothing if the session turns out to be bound, and the request has no bound cookie.
pub(crate) async fn end_by_logout(task: &Task, session: &Rc<Session>, reason: EndReason) -> bool {
    let _guard = task.keep_alive();
    let end = write_end(task, session, reason, task.arrived(), true).await;
    revoke_ended(task, end, reason).await
}

/// Revokes the refresh token of an ended session, if the reason calls for it. Returns the value of [`end_session`].
async fn revoke_ended(task: &Task, end: Option<PlannedEnd>, reason: EndReason) -> bool {
    let Some(end) = end else {
        return false;
    };
    let revokes = end.order.reason.revokes(&task.config().flow);
    if !revokes || !tokens::revoke(task, &end.latest).await {
        return false;
    }
    if end.may_have_successor && reason == EndReason::LoggedOut {
        let why = msg!(
            "the revocation at a logout is not certain: a refresh had begun and not succeeded, or the coordinator failed; a newer refresh token is revoked if it arrives"
        );
        task.fault_seldom(Seldom::Revocation, why);
    }
    !end.may_have_successor
}

/// Ends a session that a login of the same user has replaced. Its refresh token is not revoked, even if an order has ended the
/// session: a provider may revoke all tokens of the user's grant, and those of the new session, too.
pub(crate) async fn end_replaced(task: &Task, session: &Rc<Session>) {
    let _guard = task.keep_alive();
    write_end(task, session, EndReason::Replaced, task.now(), false).await;
}

/// Writes the ends that this isolate has found, by logouts and orders, into the sessions' records, and reports them. The
/// request does not wait for it.
pub(crate) async fn write_found_ends(task: &Task) {
    while let Some(session) = task.isolate().take_unwritten() {
        let name = ["end ", &session.sid].concat();
        let flight = task.start_flight(&name, move |part| async move {
            // A placeholder, which `adopt` replaces.
            end_session(&part, &session, EndReason::ProviderEnded).await;
        });
        task.sleep(Some(flight), Millis::ZERO).await;
    }
}

/// The end of a session that is to be written.
struct PlannedEnd {
    /// The latest known generation of the session.
    latest: Rc<Session>,
    order: Order,
    /// True if a back-channel logout or an order has ended the session.
    was_found: bool,
    /// True if the provider may have issued a successor of the refresh token of `latest`: by the session's record, a refresh
    /// is in flight or the last one failed, or the record could not be read.
    may_have_successor: bool,
}

/// The next step, which depends on the session's record.
enum Next {
    /// The end must be written, over this version of the record.
    Write(Option<String>),
    /// The record has an end already.
    Ended(Rc<Record>),
    /// The session was to end as idle, but the record shows later activity.
    Active,
}

impl PlannedEnd {
    /// Adopts the order that has ended the session, and the latest generation of the session.
    fn adopt(&mut self, task: &Task, fetched: Fetched) -> Next {
        let Stored { version, record } = fetched.stored;
        let mut recorded = record.as_ref().and_then(|it| it.session.clone());
        let is_unwritten = fetched.unwritten.is_some();
        if let Some(unwritten) = fetched.unwritten {
            (self.order, recorded, self.was_found) = (unwritten.order, unwritten.latest, true);
        }
        let Some(record) = record else {
            self.may_have_successor = false;
            return Next::Write(version);
        };
        if record.ended.is_some() && !is_unwritten {
            return Next::Ended(record);
        }
        let is_active = recorded
            .as_ref()
            .is_some_and(|s| limit_reached(task, s).is_none());
        if self.order.reason == EndReason::Idle && is_active {
            return Next::Active;
        }
        let newer = |s: &&Rc<Session>| s.generation > self.latest.generation;
        if let Some(newer) = recorded.as_ref().filter(newer) {
            self.latest = newer.clone();
        }
        self.may_have_successor = record.intent.is_some();
        // A copy of the cookie from before the binding must not get the ID token after the end.
        if let Some(bound) = &record.bound {
            self.latest = self.latest.clone().with_binding(bound);
        }
        Next::Write(version)
    }

    /// Reports the end to the app's server and to the observer.
    fn report(&self, task: &Task) {
        let Order { reason, by, why } = &self.order;
        let subject = self.latest.user().map(|user| user.subject().to_owned());
        task.isolate().emit(Event::Ended {
            reason: *reason,
            subject: subject.unwrap_or_default(),
            session: key::public_id(&self.latest.sid),
            by: by.clone(),
            why: why.clone(),
        });
        task.observe_session(&self.latest, Happened::SessionEnded(*reason));
    }
}

/// Writes the end into the record of a session, and returns it.
/// Returns `None` if the session had already ended, or if it has ended by a logout or an order and this could not be
/// written: the next read finds it again. Also returns `None` if the session was to end as idle, but its record shows later
/// activity, or if `is_by_logout` is true, and the request has no bound cookie although the session is bound by its record.
async fn write_end(
    task: &Task,
    session: &Rc<Session>,
    reason: EndReason,
    began: Instant,
    is_by_logout: bool,
) -> Option<PlannedEnd> {
    let mut end = PlannedEnd {
        latest: session.clone(),
        order: Order::of(reason),
        was_found: false,
        may_have_successor: true,
    };
    let (mut is_written, mut may_be_written) = (false, None::<Rc<Record>>);
    for _ in 0..ATTEMPTS {
        let has_failed = coordinator::has_failed(task);
        if has_failed && began.elapsed(&task.now()) >= END_BUDGET {
            break;
        }
        let Ok(fetched) = record_store::fetch_record(task, session).await else {
            task.pause(PAUSE).await;
            continue;
        };
        // control: logout_reads_the_binding
        if is_by_logout && bound::is_copy(task, session) {
            return None;
        }
        let version = match end.adopt(task, fetched) {
            Next::Write(version) => version,
            Next::Ended(found) if may_be_written.is_some_and(|own| own.is_same_end(&found)) => {
                is_written = true;
                break;
            }
            Next::Ended(_) => {
                // The request that ended the session has already reported the end.
                // control: end_is_reported_once
                return None;
            }
            Next::Active => return None,
        };
        let over = Rc::new(Record::of_ended(
            &end.latest,
            end.order.reason,
            task.now().wall,
        ));
        // control: end_is_written
        match record_store::write(task, &end.latest, version, &over).await {
            Ok(Some(_)) => {
                is_written = true;
                break;
            }
            Ok(None) => {}
            Err(Unreachable) => may_be_written = Some(over),
        }
    }
    task.isolate().forget_unwritten(&session.sid);
    if !is_written {
        // Another request of this isolate may have remembered and reported the end meanwhile.
        let cached = record_store::cached(task, &session.sid).record;
        // control: end_of_another_request_counts
        let is_known = cached.is_some_and(|record| record.ended.is_some());
        if end.was_found || is_known {
            return None;
        }
        cache_end(task, &end.latest, reason);
    }
    end.report(task);
    Some(end)
}

/// Remembers in this isolate that a session ended although its record could not be written, and reports the failure to
/// the operator.
fn cache_end(task: &Task, latest: &Session, reason: EndReason) {
    let over = Rc::new(Record::of_ended(latest, reason, task.now().wall));
    record_store::cache_unwritten(task, latest, over);
    task.fault_seldom(
        Seldom::Unwritten,
        msg!("a logout or another end of a session could not be written to the coordinator: a copy of its cookie is valid until its access token expires"),
    );
}

/// Returns the limit that a session has reached, if any. A user whose request came before the idle limit is not idle,
/// however long the request waits.
pub(crate) fn limit_reached(task: &Task, session: &Session) -> Option<EndReason> {
    let reached_at =
        |at| session.limit_reached(&task.config().flow.limits, &task.time_for_limits(at));
    match reached_at(task.now()) {
        Some(EndReason::Idle) => reached_at(task.arrived()),
        reached => reached,
    }
}
