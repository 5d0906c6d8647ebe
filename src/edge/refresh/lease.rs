//! The lease that a task holds on the session's refresh token while it refreshes: the intent in the record.
//!
//! A lease is short, so a process that dies blocks its session for a few seconds only. A holder that is alive renews
//! its lease at each [`BEAT`](crate::edge::io::BEAT) while it waits for the provider.

use crate::prelude::*;
use alloc::rc::Rc;

use crate::base::clock::{Millis, UnixMillis};
use crate::edge::coordinator::{Stored, Unreachable};
use crate::edge::session::Session;
use crate::edge::session::record::{Intent, Record};
use crate::edge::task::{Task, boxed};

/// The life of an intent that is not renewed. A process that dies blocks its session for this long.
pub(in crate::edge) const LEASE: Millis = Millis::from_secs(8);

/// Longest time that a coordinator may take for a write: the same as `COORDINATOR_TIME` in pkg/src/edge/host.ts. No
/// attempt starts under a lease that has less time left than this.
const WRITING: Millis = Millis::from_secs(3);

/// Most attempts to write a lease while others write the same record.
const WRITES: u32 = 5;

/// The intent that this task has written.
pub(in crate::edge) struct Lease {
    pub(in crate::edge) session: Rc<Session>,
    /// The version of the record with the intent in it.
    pub(in crate::edge) version: String,
    /// The record with the intent in it.
    pub(in crate::edge) record: Rc<Record>,
}

impl Task {
    /// An intent of this isolate's, from now on.
    pub(in crate::edge) fn intent(&self) -> Intent {
        Intent {
            holder: self.isolate().name().to_owned(),
            until: self.now().wall.saturating_add(LEASE.0),
        }
    }

    /// Holds a lease: the coordinator has taken this record, with this task's intent.
    pub(in crate::edge) fn hold_lease(
        &self,
        session: &Rc<Session>,
        version: String,
        record: Rc<Record>,
    ) {
        let lease = Lease {
            session: session.clone(),
            version,
            record,
        };
        *self.lease().borrow_mut() = Some(lease);
    }

    /// Gives up the lease without a write.
    pub(in crate::edge) fn take_lease(&self) -> Option<Lease> {
        self.lease().borrow_mut().take()
    }

    /// Returns true if the lease is held for long enough to send the refresh token once more.
    pub(in crate::edge) fn has_lease(&self) -> bool {
        self.lease_until() > self.now().wall.saturating_add(WRITING.0)
    }

    fn lease_until(&self) -> UnixMillis {
        let lease = self.lease().borrow();
        let intent = lease
            .as_ref()
            .and_then(|lease| lease.record.intent.as_ref());
        intent.map_or(0, |intent| intent.until)
    }

    /// Renews the lease, if this task holds one. It is lost if the record now belongs to another isolate or to the next
    /// generation; if the coordinator is down, it stays as it is.
    pub(in crate::edge) async fn renew_lease(&self) {
        // control: lease_is_renewed
        self.write_lease(true).await;
    }

    /// Takes the intent back, so that the next refresh need not wait until it has run out.
    pub(in crate::edge) async fn release_lease(&self) {
        // control: failed_refresh_withdraws_intent
        self.write_lease(false).await;
        self.take_lease();
    }

    async fn write_lease(&self, is_kept: bool) {
        for _ in 0..WRITES {
            let Some(lease) = self.take_lease() else {
                return;
            };
            let mut record = lease.record.clone();
            Rc::make_mut(&mut record).intent = is_kept.then(|| self.intent());
            let version = Some(lease.version.clone());
            let held = match boxed(self.write(&lease.session, version, &record)).await {
                Ok(Some(version)) => Some(Lease {
                    version,
                    record,
                    ..lease
                }),
                // A cookie was noted, or the user's activity was written.
                Ok(None) => match self.found_lease(lease).await {
                    Some(found) => {
                        *self.lease().borrow_mut() = Some(found);
                        continue;
                    }
                    None => None,
                },
                Err(Unreachable) => Some(lease),
            };
            *self.lease().borrow_mut() = held;
            return;
        }
    }

    /// The lease as the record has it, unless the record belongs to another isolate by now.
    async fn found_lease(&self, lease: Lease) -> Option<Lease> {
        let Ok(Stored { version, record }) = boxed(self.fetch_record(&lease.session)).await else {
            return Some(lease);
        };
        let record = record.filter(|record| {
            let intent = record.intent.as_ref();
            intent.is_some_and(|intent| intent.holder == self.isolate().name())
        })?;
        Some(Lease {
            session: lease.session,
            version: version?,
            record,
        })
    }
}
