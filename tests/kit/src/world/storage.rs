//! The store that vaults share, and its lock.

use super::jobs::{Job, Task};
use super::{JobId, Kind, World, dpop};
use rules::Secret;

/// The lock of the store that vaults share.
#[derive(Default)]
pub(super) struct Lock {
    /// Index of the vault that holds the lock.
    pub(super) holder: Option<usize>,
    /// The job that was granted the lock, if its vault has not been told yet.
    pub(super) granted: Option<JobId>,
}

impl World {
    /// Returns the index of the vault that holds the lock, if any.
    pub fn lock_holder(&self) -> Option<usize> {
        self.lock.holder
    }

    /// Grants the lock. A frozen vault can hold the lock without knowing, and other vaults then cannot get it.
    pub fn grant_lock(&mut self, id: JobId) {
        if let Some(i) = self.place_of(id)
            && self.lock.holder.is_none()
        {
            self.lock.holder = Some(self.jobs.pending[i].vault);
            self.lock.granted = Some(id);
        }
    }

    /// Takes or releases the lock for a holder that is not a vault.
    pub fn seize_lock(&mut self, takes: bool) {
        const NOBODY: usize = usize::MAX;
        if takes && self.lock.holder.is_none() {
            self.lock.holder = Some(NOBODY);
        } else if !takes && self.lock.holder == Some(NOBODY) {
            self.lock.holder = None;
        }
    }

    /// Returns true if the job waits for the lock while another holder has the lock.
    pub(super) fn is_locked_out(&self, job: &Job) -> bool {
        job.kind == Kind::Lock && self.lock.holder.is_some() && self.lock.granted != Some(job.id)
    }

    /// Returns true if the job with this ID waits for the lock while another holder has the lock.
    pub fn waits_for_lock(&self, id: JobId) -> bool {
        self.place_of(id)
            .is_some_and(|i| self.is_locked_out(&self.jobs.pending[i]))
    }

    /// Lets a pending read return the store's present content, even if the content changes before the vault receives
    /// it.
    pub fn read_now(&mut self, id: JobId) {
        let (loaded, record) = (self.store.session(), self.watch.stored_record());
        if let Some(i) = self.place_of(id)
            && let Task::Load(_, early @ None) = &mut self.jobs.pending[i].task
        {
            *early = Some((loaded, record));
        }
    }

    /// Lets this write reach the store even if the vault cancels it.
    pub fn land_late(&mut self, id: JobId) {
        self.jobs.landing_late.insert(id);
    }

    /// Lets a pending write reach the store. The vault is not told yet.
    pub fn write_lands(&mut self, id: JobId) {
        if let Some(i) = self.place_of(id)
            && let Task::Persist(_, Some(state), key) = &self.jobs.pending[i].task
        {
            let (vault, state, key) = (self.jobs.pending[i].vault, state.clone(), key.clone());
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

    /// Makes the stored session unreadable. The oracle then no longer relies on the tombstones of ended sessions.
    pub fn damage_store(&mut self) {
        self.store.is_damaged = true;
        self.watch.forget_ends();
    }
}
