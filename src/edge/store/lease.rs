//! The lease that a flight holds on the session's refresh token while it refreshes the session. A lease is an intent that
//! was written into the session's record. A [`Lease`] contains the session with its tokens, so it never leaves its task;
//! the intent contains no secret.
//!
//! A flight that is alive renews its lease at each [`BEAT`] while it waits for the provider. If it
//! dies, another flight takes over after it has itself seen the same intent for eight seconds ([`LEASE`]). No time that
//! another machine wrote decides: the observer counts the time that has certainly passed since it saw the intent, and the
//! holder counts the longest time for which there is evidence since before it wrote the intent. So the holder always
//! stops first.

use alloc::rc::Rc;
use rules::prelude::*;

use crate::io::{BEAT, FlightId};
use crate::session::Session;
use crate::session::record::{Intent, LEASE, Lease, Record, Stored};
use crate::store::coordinator::{COORDINATOR_TIME, Unreachable};
use crate::store::record_store::{self, Fetched};
use crate::task::{Task, boxed};
use rules::base::clock::{Mark, Millis};
use rules::base::strings;
use rules::codec::json;

/// Largest number of attempts to write a lease while other tasks write the same record.
const WRITES: u32 = 5;

/// Returns the next intent of this flight after the one in the record.
pub(crate) fn intent(task: &Task, record: &Record) -> Intent {
    Intent {
        holder: name_of(task, task.flight().unwrap_or_default()),
        number: record.next_number(),
        written_at: task.now().wall,
    }
}

/// Returns the name of a flight of this isolate: the name of the isolate and the number of the flight.
fn name_of(task: &Task, FlightId(number): FlightId) -> String {
    let mut name = [task.isolate().name(), "."].concat();
    json::write_number(&mut name, number.into());
    name
}

/// Returns true if a flight other than `own` may be alive that holds the session's lease by this intent. A flight of this
/// isolate that has ended is not alive: its intent is left over from a write whose response was lost.
fn may_be_alive(task: &Task, own: Option<FlightId>, intent: &Intent) -> bool {
    if !intent.is_held(&task.now()) {
        return false;
    }
    let (isolate, number) = strings::split_once(&intent.holder, b'.');
    if isolate != task.isolate().name() {
        return true;
    }
    let number = number.and_then(json::parse_u64);
    let flight = number.and_then(|number| u32::try_from(number).ok());
    let flight = flight.map(FlightId).filter(|flight| Some(*flight) != own);
    let cache = task.isolate().session_cache.borrow();
    flight.is_some_and(|flight| cache.is_in_flight(flight))
}

/// A flight's own observation of the intents of others, besides that of its isolate, which needs a monotonic clock.
pub(crate) struct Watch {
    intents: [Option<Intent>; 2],
    since: Mark,
}

impl Watch {
    pub(crate) fn begin(task: &Task) -> Self {
        Self {
            intents: [None, None],
            since: task.mark(),
        }
    }

    /// Returns the time after which this flight may take the lease, if no other flight writes an intent until then.
    /// Returns `None` if the flight may take the lease now.
    pub(crate) fn time_left(
        &mut self,
        task: &Task,
        sid: &str,
        fetched: &Fetched,
    ) -> Option<Millis> {
        let record = fetched.stored.record.as_deref();
        let counts = record.and_then(|record| record.intent.clone());
        let intents = [counts, fetched.intent.clone()];
        let is_alive = |intent: &Intent| may_be_alive(task, task.flight(), intent);
        let is_free = !intents.iter().flatten().any(is_alive);
        let own = name_of(task, task.flight().unwrap_or_default());
        let is_own = |intent: &Intent| intent.holder == own;
        // A store that fails over may lose the intent of another flight. If an earlier write of this flight then arrives late,
        // its intent says nothing about that flight.
        // control: late_intent_hides_no_holder
        let is_hidden =
            self.intents.iter().flatten().any(is_alive) && intents.iter().flatten().any(is_own);
        // control: foreign_intent_is_honored
        if is_free && !is_hidden {
            self.intents = intents;
            return None;
        }
        if !is_free && intents != self.intents {
            (self.intents, self.since) = (intents, task.mark());
        }
        let cache = task.isolate().session_cache.borrow();
        let cached = cache.get(sid);
        let clock = &task.isolate().clock;
        let seen = cached.map_or(Millis::ZERO, |cached| {
            clock.certain(&cached.seen_since(), &task.own_time())
        });
        let seen_here = task.passed_at_least(&self.since);
        let left = LEASE.saturating_sub(seen.max(seen_here));
        (left > Millis::ZERO).then_some(left)
    }
}

/// Returns true if this isolate knows of a flight that may hold the session's lease, and is not this isolate's own current
/// one.
pub(crate) fn is_held_elsewhere(task: &Task, sid: &str) -> bool {
    let record = record_store::cached(task, sid).record;
    let intent = record.as_ref().and_then(|record| record.intent.as_ref());
    let own = {
        let cache = task.isolate().session_cache.borrow();
        cache.flight(sid, &task.now())
    };
    intent.is_some_and(|intent| may_be_alive(task, own, intent))
}

/// Notes that this task holds the lease: the coordinator has accepted `record`, which contains the task's intent. `since` is
/// from before the write.
pub(crate) fn hold(
    task: &Task,
    session: &Rc<Session>,
    version: String,
    record: Rc<Record>,
    since: Mark,
) {
    let lease = Lease {
        session: session.clone(),
        version: Some(version),
        record,
        since,
    };
    *task.lease().borrow_mut() = Some(lease);
}

/// Gives up the lease without a write. Returns the lease, or `None` if the task holds no lease.
pub(crate) fn give_up(task: &Task) -> Option<Lease> {
    task.lease().borrow_mut().take()
}

/// Returns true if the lease lasts until it was renewed: the next renewal begins a beat after a request is sent, and may take
/// as long as a read or a write of the record. Otherwise the refresh token must not be sent.
pub(crate) fn outlasts_a_write(task: &Task) -> bool {
    let lease = task.lease().borrow();
    // control: holder_stops_first
    lease.as_ref().is_some_and(|lease| {
        let held = task.passed_at_most(&lease.since);
        held + BEAT + COORDINATOR_TIME < LEASE
    })
}

/// Renews the lease, if this task holds one. The lease is lost if another flight holds it or has refreshed the session. If
/// the coordinator is down, the lease remains unchanged.
pub(crate) async fn renew(task: &Task) {
    // control: lease_is_renewed
    write(task, true).await;
}

/// Withdraws the intent, so that the next refresh need not wait until the intent expires. The record keeps the intent,
/// without a holder. Without it, other isolates would have to assume that a store has lost the intent.
pub(crate) async fn release(task: &Task) {
    // control: failed_refresh_withdraws_intent
    write(task, false).await;
    give_up(task);
}

async fn write(task: &Task, is_kept: bool) {
    for _ in 0..WRITES {
        let Some(lease) = give_up(task) else {
            return;
        };
        let since = task.mark();
        let mut record = lease.record.clone();
        let mut intent = intent(task, &record);
        if !is_kept {
            intent.holder.clear();
        }
        Rc::make_mut(&mut record).intent = Some(intent);
        let version = lease.version.clone();
        let held = match boxed(record_store::write(task, &lease.session, version, &record)).await {
            Ok(version @ Some(_)) => Some(Lease {
                version,
                record,
                since,
                ..lease
            }),
            // The record has changed: a cookie or the user's activity was recorded, or another flight took over the
            // lease.
            Ok(None) => match found(task, lease).await {
                Some(found) => {
                    *task.lease().borrow_mut() = Some(found);
                    continue;
                }
                None => None,
            },
            Err(Unreachable) => Some(lease),
        };
        *task.lease().borrow_mut() = held;
        return;
    }
}

/// Returns the lease with the record's current version, or `None` if another flight has an intent or the session has changed.
/// The intent may have vanished, since a store that fails over may lose its last writes. If the coordinator is down,
/// returns the lease unchanged.
async fn found(task: &Task, lease: Lease) -> Option<Lease> {
    let Ok(fetched) = boxed(record_store::fetch(task, &lease.session)).await else {
        return Some(lease);
    };
    let Fetched { stored, intent, .. } = fetched;
    let Stored { version, record } = stored;
    let is_current = |record: &Rc<Record>| {
        record.ended.is_none() && record.generation <= lease.session.generation
    };
    let own = lease.record.intent.as_ref();
    let is_foreign = |intent: &Intent| {
        !intent.holder.is_empty() && own.is_none_or(|own| own.holder != intent.holder)
    };
    let counts = record.as_ref().and_then(|record| record.intent.as_ref());
    // control: lease_yields_to_another_intent
    let is_lost = counts.is_some_and(is_foreign) || intent.as_ref().is_some_and(is_foreign);
    if is_lost || !record.as_ref().is_none_or(is_current) {
        return None;
    }
    Some(Lease {
        version,
        record: record.unwrap_or(lease.record),
        ..lease
    })
}
