//! The store that vaults share, and the lock over it.

use super::jobs::{Job, Task};
use super::{JobId, Kind, World, dpop};
use strongroom::Secret;

impl World {
    /// Who has the lock.
    pub fn lock_holder(&self) -> Option<usize> {
        self.lock
    }

    /// A frozen vault may get the lock: it does not know, and nobody else can have it.
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

    /// Whether it waits for a lock that another has.
    pub(super) fn is_locked_out(&self, job: &Job) -> bool {
        job.kind == Kind::Lock && self.lock.is_some() && self.granted != Some(job.id)
    }

    /// The same of this job.
    pub fn waits_for_lock(&self, id: JobId) -> bool {
        self.place_of(id)
            .is_some_and(|i| self.is_locked_out(&self.jobs[i]))
    }

    /// What is read is read now, and is on its way for some time.
    pub fn read_now(&mut self, id: JobId) {
        let (loaded, record) = (self.store.session(), self.watch.stored_record());
        if let Some(i) = self.place_of(id)
            && let Task::Load(_, early @ None) = &mut self.jobs[i].task
        {
            *early = Some((loaded, record));
        }
    }

    /// If this write is given up, it lands all the same.
    pub fn land_late(&mut self, id: JobId) {
        self.land_late.insert(id);
    }

    /// A write lands, and its vault is not told yet.
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

    /// Clears the site's data: what the store said of ended sessions is lost with them.
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
