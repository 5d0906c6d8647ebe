//! Reads and writes of the session's store. [`Sessions`](crate::world::sessions) has the rules for sessions.

use rules::base::clock::Instant;
use vault::Loaded;

use super::{Invariant, Issued, Watch};
use crate::world::JobId;
use crate::world::sessions::Record;

impl Watch {
    /// Records that the store's response to a write reached a vault.
    pub fn persisted(&mut self, vault: usize, ok: bool) {
        self.unpersisted.remove(&vault);
        if ok {
            self.sessions.told_written(vault);
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
        let mut tokens = self.tokens.iter();
        let token = tokens.find(|((holder, token), _)| *holder == vault && state.contains(token));
        let token =
            token.map(|((_, token), issued)| (token.clone(), issued.age(now), issued.lifetime));
        self.sessions.writes(vault, state, family, now, token);
    }

    /// Records that a vault's write has succeeded or failed. The vault may not know the result yet.
    pub fn written(&mut self, vault: usize, state: &str, works: bool) {
        if works {
            self.stored_states.push(state.to_owned());
        }
        if works && state.contains("\"refresh_token\"") {
            // Every vault that reads this state knows that the earlier refresh tokens are consumed.
            let mut is_successor = false;
            for knowers in self.dead.values_mut().filter(|knowers| !knowers.store) {
                knowers.store = knowers.vaults.contains(&vault);
                is_successor |= knowers.store || knowers.overtaken.contains(&vault);
            }
            if is_successor {
                self.stored_successor(vault);
            }
        }
        self.unpersisted.remove(&vault);
        self.sessions.written(vault, state, works);
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
        self.sessions.loaded(vault, loaded, record, job, now);
    }
}
