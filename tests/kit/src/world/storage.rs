//! The store that vaults share, and its lock.

use super::jobs::{Job, Task};
use super::{JobId, Kind, World, dpop};
use strongroom::Secret;

impl World {
    /// The vault that holds the lock.
    pub fn lock_holder(&self) -> Option<usize> {
        self.lock
    }

    /// Grants the lock. A frozen vault may hold it without knowing, and keeps others from getting it.
    pub fn grant_lock(&mut self, id: JobId) {
        if let Some(i) = self.place_of(id)
            && self.lock.is_none()
        {
            self.lock = Some(self.jobs[i].vault);
            self.granted = Some(id);
        }
    }

    /// Somebody other than the vaults takes or releases the lock.
    pub fn seize_lock(&mut self, takes: bool) {
        const NOBODY: usize = usize::MAX;
        if takes && self.lock.is_none() {
            self.lock = Some(NOBODY);
        } else if !takes && self.lock == Some(NOBODY) {
            self.lock = None;
        }
    }

    /// Returns true if the job waits for a lock that another vault holds.
    pub(super) fn is_locked_out(&self, job: &Job) -> bool {
        job.kind == Kind::Lock && self.lock.is_some() && self.granted != Some(job.id)
    }

    /// Returns true if the job waits for a lock that another vault holds.
    pub fn waits_for_lock(&self, id: JobId) -> bool {
        self.place_of(id)
            .is_some_and(|i| self.is_locked_out(&self.jobs[i]))
    }

    /// Reads the record now and delivers it later.
    pub fn read_now(&mut self, id: JobId) {
        let (loaded, record) = (self.store.session(), self.watch.stored_record());
        if let Some(i) = self.place_of(id)
            && let Task::Load(_, early @ None) = &mut self.jobs[i].task
        {
            *early = Some((loaded, record));
        }
    }

    /// Lets this write reach the store even if the vault cancels it.
    pub fn land_late(&mut self, id: JobId) {
        self.land_late.insert(id);
    }

    /// Completes a write without telling its vault yet.
    pub fn write_lands(&mut self, id: JobId) {
        if let Some(i) = self.place_of(id)
            && let Task::Persist(_, Some(state), key) = &self.jobs[i].task
        {
            let (vault, state, key) = (self.jobs[i].vault, state.clone(), key.clone());
            self.write(vault, state, key);
        }
    }

    pub(super) fn write(&mut self, vault: usize, state: Secret, key: Option<dpop::Named>) -> bool {
        let text = state.expose().to_owned();
        let works = self.persists && self.store.put_session(state, key);
        self.watch.written(vault, &text, works);
        works
    }

    /// Clears the site's data, including the tombstones of ended sessions.
    pub fn clear_site_data(&mut self) {
        self.store.clear();
        self.watch.forget_ends();
    }

    /// Damages every record in the store.
    pub fn damage_store(&mut self) {
        self.store.is_damaged = true;
        self.watch.forget_ends();
    }
}
