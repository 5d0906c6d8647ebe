//! Reads and writes the records of sessions at the coordinator, and caches them in this isolate.

use alloc::rc::Rc;
use rules::prelude::*;

use crate::event::{Event, Happened};
use crate::io::{Effect, Entry, FlightId};
use crate::isolate::Seldom;
use crate::lines::Unreadable;
use crate::refusal::{OPERATOR_RETRY_AFTER, RETRY_AFTER, Refusal};
use crate::session::key::{self, record_key};
use crate::session::record::merge::{self, merge};
use crate::session::record::{Intent, LEASE, Record, Stored};
use crate::session::{KEPT, Session};
use crate::store::coordinator::{self, COORDINATOR_TIME, STATUS_TIME, Unreachable};
use crate::store::order::{EndKeys, FoundEnd, Order};
use crate::store::seal;
use crate::task::{FlightGuard, PendingReply, Task, boxed};
use rules::Secret;
use rules::base::clock::{Instant, Millis};
use rules::base::error::{Code, Error};
use rules::session::EndReason;

/// Largest number of attempts of [`update`] while other isolates write the record, too.
const UPDATES: u32 = 3;

/// The longest value that every store accepts, in bytes: see `Coordinator` in pkg/src/edge/coordinators/coordinator.ts.
const LONGEST_VALUE: usize = 60 * 1024;

/// The result of a read of a session's record.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fetched {
    /// The store's version, and the record that counts: see [`merge()`].
    pub(crate) stored: Stored,
    /// The intent in the store's record.
    pub(crate) intent: Option<Intent>,
    /// The end, by a back-channel logout or an order, that the store's record lacks.
    pub(crate) unwritten: Option<UnwrittenEnd>,
    /// True if an end cannot be read that may have ended the session.
    is_end_unreadable: bool,
}

/// An end by a back-channel logout or an order that is not in the record yet.
#[derive(Clone, Debug)]
pub(crate) struct UnwrittenEnd {
    pub(crate) order: Order,
    /// The session in the store's record.
    pub(crate) latest: Option<Rc<Session>>,
}

/// Merges this isolate's record with the store's. Without a record in the store, this isolate's counts only if the store
/// has never had it, or if a flight may be refreshing the session. Otherwise the store has dropped the session.
fn merged(task: &Task, ours: Option<Rc<Record>>, stored: Option<Rc<Record>>) -> Option<Rc<Record>> {
    let Some(stored) = stored else {
        let is_held = |intent: &Intent| intent.is_held(&task.now());
        return ours.filter(|ours| {
            merge::is_unwritten(ours, None) || ours.intent.as_ref().is_some_and(is_held)
        });
    };
    Some(match ours {
        Some(ours) => Rc::new(merge(&ours, &stored, task.config().flow.limits.idle)),
        None => stored,
    })
}

/// Returns true if a record is too long for some store.
fn is_too_long(text: &Secret) -> bool {
    // Compare the size of the sealed value: base64, with the version, key ID, nonce and tag.
    text.expose().len() * 4 / 3 + 100 > LONGEST_VALUE
}

/// Reads the record of a session into the cache, and checks whether a logout or an order has ended the session. Writes what
/// only this isolate knows.
///
/// # Errors
/// [`Unreachable`] also if an end cannot be read that may have ended the session. The cache then has the record.
pub(crate) async fn fetch(task: &Task, session: &Session) -> Result<Fetched, Unreachable> {
    let fetched = fetch_record(task, session).await?;
    match fetched.is_end_unreadable {
        true => Err(Unreachable),
        false => Ok(fetched),
    }
}

/// Reads the record as [`fetch`] does, but also if an end cannot be read: for a write that ends the session.
pub(crate) async fn fetch_record(task: &Task, session: &Session) -> Result<Fetched, Unreachable> {
    let asked = task.now();
    let (stored, intent, found) = read(task, session).await?;
    let unwritten = found.order.map(|order| UnwrittenEnd {
        order,
        latest: stored.record.as_ref().and_then(|it| it.session.clone()),
    });
    let Stored { version, record } = stored;
    let record = match &unwritten {
        Some(end) => with_end(task, session, record, end),
        None => record,
    };
    let (version, theirs) = write_back(task, session, version, record).await;
    let (now, own) = (task.now(), task.own_time());
    let mut cache = task.isolate().session_cache.borrow_mut();
    let cached = cache.entry(&session.sid, &now);
    // An incomplete read is repeated on the next use. `asked` is the start of the read, so the cached state is at least
    // that new.
    cached.checked = match found.is_partial || found.is_unreadable {
        true => Instant::default(),
        false => asked,
    };
    // During the read, this isolate may have learned more.
    let ours = cached.stored.record.take();
    let record = merged(task, ours, theirs.clone());
    let is_unwritten = |record: &Rc<Record>| merge::is_unwritten(record, theirs.as_deref());
    if !record.as_ref().is_some_and(is_unwritten) {
        cached.unwritten = None;
    }
    cached.stored = Stored { version, record };
    cached.observe(intent.as_ref(), own);
    Ok(Fetched {
        stored: cached.stored.clone(),
        intent,
        unwritten,
        is_end_unreadable: found.is_unreadable,
    })
}

/// Reads the record of a session and what may have ended it. Also returns the intent in the record.
async fn read(
    task: &Task,
    session: &Session,
) -> Result<(Stored, Option<Intent>, FoundEnd), Unreachable> {
    let ends = EndKeys::of(task, session);
    let mut keys = vec![record_key(&session.sid)];
    keys.extend(ends.keys(task));
    let mut entries = coordinator::read(task, keys).await?.into_iter();
    let stored = open_record(task, &session.sid, entries.next().flatten()).await?;
    let record = stored.record.as_deref();
    let intent = record.and_then(|record| record.intent.clone());
    // control: back_channel_logout_is_found
    let found = boxed(ends.find(task, session, record, entries.collect())).await;
    Ok((stored, intent, found))
}

/// Returns the record of a session that has ended by a logout or an order. Remembers that the end is to be written.
fn with_end(
    task: &Task,
    session: &Session,
    record: Option<Rc<Record>>,
    UnwrittenEnd { order, latest }: &UnwrittenEnd,
) -> Option<Rc<Record>> {
    let is_newer = |it: &&Rc<Session>| it.generation >= session.generation;
    let latest = latest.as_ref().filter(is_newer).cloned();
    task.isolate()
        .note_unwritten(latest.unwrap_or_else(|| Rc::new(session.clone())));
    let over = Record::of_ended(session, order.reason, task.now().wall);
    // The merged record keeps the binding of the store's.
    merged(task, Some(Rc::new(over)), record)
}

/// Writes what only this isolate knows. Returns the store's record and its version.
async fn write_back(
    task: &Task,
    session: &Session,
    version: Option<String>,
    theirs: Option<Rc<Record>>,
) -> (Option<String>, Option<Rc<Record>>) {
    let ours = cached(task, &session.sid).record;
    if let Some(counts) = merged(task, ours, theirs.clone())
        && merge::is_unwritten(&counts, theirs.as_deref())
        && let Ok(Some(written)) = write(task, session, version.clone(), &counts).await
    {
        return (Some(written), Some(counts));
    }
    (version, theirs)
}

/// Returns the name of the flight that reads the record of a session.
fn flight_name(session: &Session) -> String {
    ["read ", &session.sid].concat()
}

/// Marks a session to be read from the coordinator on next use.
pub(crate) fn invalidate(task: &Task, session: &Session) {
    let mut cache = task.isolate().session_cache.borrow_mut();
    if let Some(cached) = cache.get_mut(&session.sid) {
        cached.checked = Instant::default();
    }
}

/// Reads the record of a session into the cache if the last read is older than `session.recheck`. Parallel requests
/// share one read: the others wait until it has finished, but not longer than a read may take.
pub(crate) async fn fetch_if_due(task: &Task, session: &Session) -> Result<(), Unreachable> {
    let recheck = task.config().recheck;
    // Without a recheck period, each request reads the record.
    let mut is_own = recheck == Millis::ZERO;
    let _flight = loop {
        let now = task.now();
        let name = flight_name(session);
        let flight = {
            let cache = task.isolate().session_cache.borrow();
            if !cache.is_coordinator_up(&now) {
                return Err(Unreachable);
            }
            if !cache.is_due(&session.sid, recheck, &now) {
                return Ok(());
            }
            cache.flight(&name, &now)
        };
        if is_own || flight.is_none() {
            break FlightGuard::begin(task.clone(), &name);
        }
        is_own = true;
        task.sleep(flight, COORDINATOR_TIME).await;
    };
    boxed(fetch(task, session)).await.map(|_| ())
}

/// Reads the record as [`fetch_if_due`] does, but in a task of its own, for which this request waits [`STATUS_TIME`] at
/// most. While reads take longer than that, no request waits. Returns true unless the read is still running.
pub(crate) async fn fetch_briefly(task: &Task, session: &Rc<Session>) -> bool {
    let name = flight_name(session);
    let (found, time) = {
        let now = task.now();
        let cache = task.isolate().session_cache.borrow();
        if !cache.is_due(&session.sid, task.config().recheck, &now) {
            return true;
        }
        let time = if cache.is_coordinator_slow {
            Millis::ZERO
        } else {
            STATUS_TIME
        };
        (cache.flight(&name, &now), time)
    };
    let flight = found.unwrap_or_else(|| start_fetch(task, session, &name));
    task.sleep(Some(flight), time).await;
    let mut cache = task.isolate().session_cache.borrow_mut();
    let is_running = cache.flight(&name, &task.now()) == Some(flight);
    cache.is_coordinator_slow |= is_running;
    !is_running
}

/// Starts a read as a task of its own, so that its answer counts although the request has not waited for it. Returns the
/// task's flight.
fn start_fetch(task: &Task, session: &Rc<Session>, name: &str) -> FlightId {
    let session = session.clone();
    task.start_flight(name, move |part| async move {
        // An error is in the log, and the next request reads again.
        let _ = fetch(&part, &session).await;
    })
}

async fn open_record(task: &Task, sid: &str, entry: Option<Entry>) -> Result<Stored, Unreachable> {
    let Some(Entry { value, version }) = entry else {
        return Ok(Stored::default());
    };
    let opened = seal::open(task, &record_key(sid), &value).await;
    let read =
        opened.and_then(|text| Record::from_text(text.expose()).ok_or(Unreadable::OtherVersion));
    {
        let now = task.now();
        let mut cache = task.isolate().session_cache.borrow_mut();
        cache.entry(sid, &now).unreadable = read.as_ref().err().copied();
    }
    match read {
        Ok(record) => Ok(Stored {
            version: Some(version),
            record: Some(Rc::new(record)),
        }),
        Err(Unreadable::NotGenuine) => {
            let why = msg!(
                "a session's record in the coordinator was not written by this handler; another deployment may use the same prefix"
            );
            task.fault_seldom(Seldom::RecordForeign, why);
            coordinator::avoid(task);
            Err(Unreachable)
        }
        // The record may be valid, so it counts as unreachable, and not as missing. Otherwise this isolate would send a
        // refresh token that was used already, and would lose the binding.
        Err(error) => {
            task.error_seldom(Seldom::RecordForeign, &not_read(error));
            Err(Unreachable)
        }
    }
}

/// Returns the error for a record that was written with another key or version.
fn not_read(error: Unreadable) -> Error {
    match error {
        Unreadable::UnknownKey => Error::new(
            Code::KeyUnknown,
            msg!("a session's record is sealed with a key that is not in cookie.keys"),
        ),
        _ => Error::new(
            Code::CoordinatorUnavailable,
            msg!(
                "a session's record was written by another version of the handler: deploy the same version everywhere"
            ),
        ),
    }
}

/// Remembers a record that the coordinator did not accept. The next [`fetch`] tries to write the record again.
pub(crate) fn cache_unwritten(task: &Task, session: &Session, record: Rc<Record>) {
    let now = task.now();
    let mut cache = task.isolate().session_cache.borrow_mut();
    let cached = cache.entry(&session.sid, &now);
    cached.unwritten = Some(now);
    let known = &mut cached.stored.record;
    *known = match known.take() {
        Some(known) => merged(task, Some(record), Some(known)),
        None => Some(record),
    };
}

/// Caches a user's activity.
fn cache_activity(task: &Task, session: &Session) {
    let now = task.now();
    let mut cache = task.isolate().session_cache.borrow_mut();
    let record = &mut cache.entry(&session.sid, &now).stored.record;
    // The record may have been replaced in the meantime, so change only the activity.
    if let Some(record) = record {
        record.note_active(session.active);
    }
}

/// Returns true if the record of a session could not be read at the last attempt, although the coordinator responded.
pub(crate) fn is_unreadable(task: &Task, session: &Session) -> bool {
    let cache = task.isolate().session_cache.borrow();
    cache
        .get(&session.sid)
        .is_some_and(|cached| cached.unreadable.is_some())
}

/// Returns the cached record of a session.
pub(crate) fn cached(task: &Task, sid: &str) -> Stored {
    let cache = task.isolate().session_cache.borrow();
    cache
        .get(sid)
        .map(|cached| cached.stored.clone())
        .unwrap_or_default()
}

/// Returns the session's other access tokens that may still be valid, one per line, as far as this isolate knows the
/// session's record.
#[inline(never)]
pub(crate) fn other_tokens(task: &Task, session: &Session) -> Secret {
    let cache = task.isolate().session_cache.borrow();
    let cached = cache.get(&session.sid);
    let record = cached.and_then(|cached| cached.stored.record.as_ref());
    match record {
        Some(record) => record.other_tokens(session, &task.now()),
        None => Secret::from(""),
    }
}

/// Writes a session's record if the coordinator's entry still has this `version`, or if `version` is `None` and there
/// is no entry. Returns the new version, or `None` if nothing was written.
pub(crate) async fn write(
    task: &Task,
    session: &Session,
    version: Option<String>,
    record: &Rc<Record>,
) -> Result<Option<String>, Unreachable> {
    let key = record_key(&session.sid);
    let mut text = record.text_at(&task.now());
    if is_too_long(&text) {
        text = record.text(None);
    }
    let Some(value) = seal::seal(task, &key, text).await else {
        return Err(Unreachable);
    };
    let left = session.left(&task.config().flow.limits, &task.now());
    // Keep the record longer than the session. Otherwise, an old copy of the session's cookie would end the session a
    // second time and report the end again, and the refresh token of a stored session could not be revoked.
    let lifetime = left + KEPT;
    let written = coordinator::swap(task, key, version, value, lifetime).await?;
    if let Some(version) = &written {
        let now = task.now();
        let mut cache = task.isolate().session_cache.borrow_mut();
        // `checked` is not updated, because the ends were not read.
        let cached = cache.entry(&session.sid, &now);
        let ours = cached.stored.record.take();
        // The response to a later write may have arrived first.
        let is_late = ours
            .as_ref()
            .is_some_and(|ours| merge::is_unwritten(ours, Some(record)));
        // control: late_write_keeps_newer_record
        cached.stored.record = merged(task, ours, Some(record.clone()));
        if !is_late {
            cached.stored.version = Some(version.clone());
            cached.unwritten = None;
        }
        cached.observe(record.intent.as_ref(), task.own_time());
    }
    Ok(written)
}

/// Returns the stored session to which a cookie refers.
pub(crate) async fn load_session(task: &Task, reference: &str) -> Result<Rc<Session>, Refusal> {
    let Some((sid, began)) = Session::reference_from_text(reference) else {
        return Err(Refusal::Ended(EndReason::StorageLost));
    };
    task.note_reference();
    let unknown = Session::unknown(sid, began);
    let mut fetched = fetch_if_due(task, &unknown).await;
    let mut record = cached(task, sid).record;
    // Another isolate may have stored the session after the last read, when the session was still in its cookie. Then
    // this isolate knows no record, or only the binding in it. This isolate has read the record again before it reported
    // the loss.
    // control: absent_record_is_read_again
    if fetched.is_ok()
        && record.as_deref().is_none_or(Record::has_no_session)
        && !is_loss_reported(task, sid)
    {
        fetched = boxed(fetch(task, &unknown)).await.map(|_| ());
        record = cached(task, sid).record;
    }
    if let Some(reason) = record.as_ref().and_then(|record| record.ended) {
        return Err(Refusal::Ended(reason));
    }
    match record.and_then(|record| record.session.clone()) {
        Some(session) => Ok(session),
        _ if fetched.is_err() => Err(unavailable(task, sid)),
        _ => Err(Refusal::Ended(on_lost(task, &unknown))),
    }
}

fn is_loss_reported(task: &Task, sid: &str) -> bool {
    let cache = task.isolate().session_cache.borrow();
    cache.get(sid).is_some_and(|cached| cached.is_loss_reported)
}

/// Reports once that the record of a session is missing. Returns the reason for the session's end.
fn on_lost(task: &Task, session: &Session) -> EndReason {
    let now = task.now();
    // The record expires some time after this limit.
    if session.left(&task.config().flow.limits, &now) == Millis::ZERO {
        return EndReason::Absolute;
    }
    let mut cache = task.isolate().session_cache.borrow_mut();
    let cached = cache.entry(&session.sid, &now);
    if !cached.is_loss_reported {
        cached.is_loss_reported = true;
        let why = msg!(
            "storage_lost: the coordinator has lost a session's record, and its user must sign in again; check its memory, its persistence and the prefix"
        );
        task.fault_seldom(Seldom::RecordLost, why);
        task.isolate().emit(Event::Ended {
            reason: EndReason::StorageLost,
            subject: String::new(),
            session: key::public_id(&session.sid),
            by: String::new(),
            why: String::new(),
        });
        let ended = Happened::SessionEnded(EndReason::StorageLost);
        task.observe_session(session, ended);
    }
    EndReason::StorageLost
}

/// Writes a session to the store. The session is new, or was sealed in a cookie so far. A session that has ended stays
/// ended.
pub(crate) async fn store_session(task: &Task, session: &Rc<Session>) -> Result<(), Refusal> {
    // The cached record of a refreshed session may be unwritten. A read writes it.
    if session.generation > 0
        && (boxed(fetch(task, session)).await.is_err() || coordinator::has_failed(task))
    {
        return Err(unavailable(task, &session.sid));
    }
    let Stored { version, record } = cached(task, &session.sid);
    if let Some(known) = record
        .as_deref()
        .and_then(|record| already_stored(record, session))
    {
        boxed(record_activity(task, session)).await;
        return known;
    }
    let record = match record {
        Some(record) => record.followed_by(session, task.now().wall),
        None => Record::of(session, session.began),
    };
    let record = Rc::new(record);
    if is_too_long(&record.to_text()) {
        let error = Error::new(
            Code::LimitExceeded,
            msg!("the session is too long for a coordinator: its tokens have more than 45 KB"),
        );
        return Err(Refusal::Later(error, OPERATOR_RETRY_AFTER));
    }
    match write(task, session, version, &record).await {
        Ok(Some(_)) => Ok(()),
        // A parallel request may have stored the session, or ended it.
        Ok(None) => {
            let fetched = boxed(fetch(task, session)).await.ok();
            let record = fetched.and_then(|fetched| fetched.stored.record);
            let known = record.and_then(|record| already_stored(&record, session));
            known.unwrap_or_else(|| Err(unavailable(task, &session.sid)))
        }
        Err(Unreachable) => Err(unavailable(task, &session.sid)),
    }
}

/// Returns the result of [`store_session`] if the record already has the session or its end.
fn already_stored(record: &Record, session: &Session) -> Option<Result<(), Refusal>> {
    if let Some(reason) = record.ended {
        return Some(Err(Refusal::Ended(reason)));
    }
    let kept = record.session.as_ref()?;
    (kept.generation >= session.generation).then_some(Ok(()))
}

/// Changes the cached record of a session, and writes it. If another isolate has changed the record, perhaps to the next
/// generation, reads it and changes it again. `change` returns `None` if the record needs no write.
///
/// Only for a note that may be lost: the end of a session, an intent and new tokens have rules of their own for a record
/// that cannot be read or written.
pub(crate) async fn update(
    task: &Task,
    session: &Session,
    change: &dyn Fn(Option<Rc<Record>>) -> Option<Rc<Record>>,
) -> Result<(), Unreachable> {
    for _ in 0..UPDATES {
        let Stored { version, record } = cached(task, &session.sid);
        let Some(record) = change(record) else {
            break;
        };
        match boxed(write(task, session, version, &record)).await? {
            None if boxed(fetch(task, session)).await.is_ok() => {}
            _ => break,
        }
    }
    Ok(())
}

/// Records that a session's user is active, unless the cached record says so. The activity is cached first, so of several
/// requests at once only one writes it.
pub(crate) async fn record_activity(task: &Task, session: &Session) {
    let limits = &task.config().flow.limits;
    let known = cached(task, &session.sid).record;
    let known = known.as_ref().and_then(|record| record.session.as_ref());
    if known.is_some_and(|known| known.is_activity_due(limits, &task.now())) {
        cache_activity(task, session);
        // The activity stays in the cache if it cannot be written.
        let change = |record: Option<Rc<Record>>| record.filter(|record| record.session.is_some());
        let _ = update(task, session, &change).await;
    }
}

/// Waits for another isolate to write a session's record.
pub(crate) fn wait_for_change<'a>(
    task: &'a Task,
    sid: &str,
    version: Option<String>,
    time: Millis,
) -> PendingReply<'a> {
    let effect = Effect::Wait {
        key: record_key(sid),
        version,
        time,
    };
    task.perform(effect)
}

/// Returns the refusal for a record that cannot be read. The session is kept.
pub(crate) fn unavailable(task: &Task, sid: &str) -> Refusal {
    let cache = task.isolate().session_cache.borrow();
    let unreadable = cache.get(sid).and_then(|cached| cached.unreadable);
    if let Some(error @ (Unreadable::UnknownKey | Unreadable::OtherVersion)) = unreadable {
        return Refusal::Later(not_read(error), LEASE);
    }
    let why = msg!(
        "the coordinator cannot be reached: without it, no session can be refreshed, and none can begin or be read in the store"
    );
    Refusal::Later(Error::new(Code::CoordinatorUnavailable, why), RETRY_AFTER)
}
