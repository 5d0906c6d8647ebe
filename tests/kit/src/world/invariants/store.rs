//! Reads and writes of the session's store. For persisted sessions, [`PersistedSessions`] has the rules.

use rules::base::clock::Instant;
use vault::{Loaded, OpId, Taken};

use super::{Invariant, Issued, Knowers, Watch};
use crate::world::JobId;
use crate::world::persisted::{PersistedSessions, Record};

impl Watch {
    /// Records that the store's response to a write reached a vault.
    pub fn persisted(&mut self, vault: usize, ok: bool) {
        self.unpersisted.remove(&vault);
        if let Some(persisted) = self.persisted.as_mut().filter(|_| ok) {
            persisted.told_written(vault);
        }
    }

    /// Records that a vault has adopted the tokens of its last refresh without storing them.
    pub fn adopted(&mut self, vault: usize) {
        self.unpersisted.remove(&vault);
    }

    /// Records that a vault asks to write `state`. `family` is the family of the access token in `state`.
    pub fn writes(
        &mut self,
        vault: usize,
        state: &str,
        family: Option<usize>,
        now: &Instant,
        has_lock: bool,
    ) {
        Invariant::UnderLock.holds_if(has_lock, || "written without the lock".to_owned());
        let Some(persisted) = &mut self.persisted else {
            return;
        };
        let mut tokens = self.tokens.iter();
        let token = tokens.find(|((holder, token), _)| *holder == vault && state.contains(token));
        let token =
            token.map(|((_, token), issued)| (token.clone(), issued.age(now), issued.lifetime));
        persisted.writes(vault, state, family, now, token);
    }

    /// Records that a vault's write has succeeded or failed. The vault may not know the result yet.
    pub fn written(&mut self, vault: usize, state: &str, works: bool) {
        if works {
            self.stored_states.push(state.to_owned());
        }
        if works && state.contains("\"refresh_token\"") {
            // Every vault that reads this state knows that the earlier refresh tokens are consumed.
            let is_known = |knowers: &&mut Knowers| knowers.vaults.contains(&vault);
            for knowers in self.dead.values_mut().filter(is_known) {
                knowers.store = true;
            }
        }
        self.unpersisted.remove(&vault);
        if let Some(persisted) = &mut self.persisted {
            persisted.written(vault, works);
        }
    }

    /// Records that the device has slept, or that a timer is late. The store's responses may have had no time to arrive before.
    pub fn woke(&mut self) {
        self.persisted.iter_mut().for_each(PersistedSessions::woke);
    }

    /// Returns the store's content as far as the oracle knows, or `None` if the store has no content or is not used.
    pub fn stored_record(&self) -> Option<Record> {
        self.persisted.as_ref().and_then(PersistedSessions::record)
    }

    /// Records that a tombstone for the session with this ID is written.
    pub fn marked(&mut self, sid: &str) {
        if let Some(persisted) = &mut self.persisted {
            persisted.marked(sid);
        }
    }

    /// Records that a vault checks for the tombstone of the session that it has read.
    pub fn asks_for_mark(&mut self, vault: usize, op: OpId) {
        if let Some(persisted) = &mut self.persisted {
            persisted.asks_for_mark(vault, op);
        }
    }

    /// Records that a vault learns if the session in the store has a tombstone.
    pub fn mark_read(&mut self, vault: usize, op: OpId, taken: &Taken, now: &Instant) {
        if let Some(persisted) = &mut self.persisted {
            persisted.mark_read(vault, op, taken, now);
        }
    }

    /// Records that a vault got the lock and reads the store with the job `read`. The vault's earlier reads are
    /// outdated.
    pub fn locked(&mut self, vault: usize, last_job: JobId, read: Option<JobId>) {
        if let Some(persisted) = &mut self.persisted {
            persisted.locked(vault, last_job, read);
        }
    }

    /// Records that a vault's write has ended. Reads that the vault requested before may be outdated.
    pub fn wrote(&mut self, vault: usize, last_job: JobId) {
        if let Some(persisted) = &mut self.persisted {
            persisted.wrote(vault, last_job);
        }
    }

    /// Records that the vault no longer holds the lock.
    pub fn unlocked(&mut self, vault: usize) {
        if let Some(persisted) = &mut self.persisted {
            persisted.unlocked(vault);
        }
    }

    /// Records that a vault receives the result of a read of the store.
    pub fn loaded(
        &mut self,
        vault: usize,
        loaded: &Loaded,
        record: Option<&Record>,
        job: JobId,
        now: &Instant,
    ) {
        let found = record.filter(|_| matches!(loaded, Loaded::Found(_)));
        if let Some((token, requested, lifetime)) = found.and_then(|record| record.token(now)) {
            // The vault may use its own time of the token request, or the time that follows from the age in the store.
            let issued = self.tokens.entry((vault, token)).or_insert(Issued {
                requested: Vec::new(),
                lifetime,
            });
            issued.requested.push(requested);
        }
        if let Some(persisted) = &mut self.persisted {
            persisted.loaded(vault, loaded, record, job, now);
        }
    }
}
