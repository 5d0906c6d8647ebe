//! The lease that a task holds on the session's refresh token while the task refreshes the session. A lease is an
//! intent that was written into the session's record. A [`Lease`] contains the session with its tokens, so it never
//! leaves its task; the intent contains no secret.
//!
//! A lease lasts for eight seconds ([`LEASE`]), so a process that dies blocks its session for this time only. A holder
//! that is alive renews its lease at each [`BEAT`](crate::edge::io::BEAT) while it waits for the provider.

use crate::prelude::*;
use alloc::rc::Rc;

use crate::base::clock::UnixMillis;
use crate::edge::session::Session;
use crate::edge::session::record::{Intent, LEASE, Lease, Record, Stored};
use crate::edge::store::coordinator::{COORDINATOR_TIME, Unreachable};
use crate::edge::store::record_store;
use crate::edge::task::{Task, boxed};

/// Largest number of attempts to write a lease while other tasks write the same record.
const WRITES: u32 = 5;

/// Returns a new intent of this isolate.
pub(in crate::edge) fn intent(task: &Task) -> Intent {
    Intent {
        holder: task.isolate().name().to_owned(),
        until: task.now().wall.saturating_add(LEASE.0),
    }
}

/// Returns the latest intent in a session's record, if it is of another isolate and has not expired. The intent counts
/// even if the store has lost it since this isolate read it.
pub(in crate::edge) fn foreign_intent(task: &Task, sid: &str) -> Option<Intent> {
    let cache = task.isolate().session_cache.borrow();
    let (_, intent) = cache.get(sid)?.intent.as_ref()?;
    let is_valid = intent.is_valid(&task.now()) && intent.holder != task.isolate().name();
    is_valid.then(|| intent.clone())
}

/// Notes that this task holds the lease: the coordinator has accepted `record`, which contains the task's intent.
pub(in crate::edge) fn hold(
    task: &Task,
    session: &Rc<Session>,
    version: String,
    record: Rc<Record>,
) {
    let lease = Lease {
        session: session.clone(),
        version: Some(version),
        record,
    };
    *task.lease().borrow_mut() = Some(lease);
}

/// Gives up the lease without a write. Returns the lease, or `None` if the task holds no lease.
pub(in crate::edge) fn give_up(task: &Task) -> Option<Lease> {
    task.lease().borrow_mut().take()
}

/// Returns true if the lease lasts longer than a read or a write of the record may take. Otherwise the refresh token
/// must not be sent once more, because the lease could expire before it is renewed.
pub(in crate::edge) fn outlasts_a_write(task: &Task) -> bool {
    held_until(task) > task.now().wall.saturating_add(COORDINATOR_TIME.0)
}

fn held_until(task: &Task) -> UnixMillis {
    let lease = task.lease().borrow();
    let intent = lease
        .as_ref()
        .and_then(|lease| lease.record.intent.as_ref());
    intent.map_or(0, |intent| intent.until)
}

/// Renews the lease, if this task holds one. The lease is lost if another isolate holds it or has refreshed the
/// session. If the coordinator is down, the lease remains unchanged.
pub(in crate::edge) async fn renew(task: &Task) {
    // control: lease_is_renewed
    write(task, true).await;
}

/// Withdraws the intent, so that the next refresh need not wait until the intent expires. The record keeps the intent,
/// without a holder and with the present time. Without it, other isolates would have to assume that a store has lost the
/// intent.
pub(in crate::edge) async fn release(task: &Task) {
    // control: failed_refresh_withdraws_intent
    write(task, false).await;
    give_up(task);
}

async fn write(task: &Task, is_kept: bool) {
    for _ in 0..WRITES {
        let Some(lease) = give_up(task) else {
            return;
        };
        let mut record = lease.record.clone();
        let mut intent = intent(task);
        if !is_kept {
            intent.until = task.now().wall;
            intent.holder.clear();
        }
        Rc::make_mut(&mut record).intent = Some(intent);
        let version = lease.version.clone();
        let held = match boxed(record_store::write(task, &lease.session, version, &record)).await {
            Ok(version @ Some(_)) => Some(Lease {
                version,
                record,
                ..lease
            }),
            // The record has changed: a cookie or the user's activity was recorded, or another isolate took over the
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

/// Returns the lease with the record's current version, or `None` if another isolate holds it or the session has changed.
/// The intent may have vanished, since a store that fails over may lose its last writes. If the coordinator is down,
/// returns the lease unchanged.
async fn found(task: &Task, lease: Lease) -> Option<Lease> {
    let Ok(Stored { version, record }) = boxed(record_store::fetch(task, &lease.session)).await
    else {
        return Some(lease);
    };
    let is_ours = |record: &Rc<Record>| {
        let intent = record.intent_at(&task.now());
        record.ended.is_none()
            && record.generation <= lease.session.generation
            && intent.is_none_or(|intent| intent.holder == task.isolate().name())
    };
    if !record.as_ref().is_none_or(is_ours) {
        return None;
    }
    Some(Lease {
        version,
        record: record.unwrap_or(lease.record),
        ..lease
    })
}
