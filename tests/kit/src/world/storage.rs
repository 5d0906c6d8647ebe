//! The store that vaults share, and its lock.

use std::collections::BTreeMap;

use super::jobs::{Job, Read, Task};
use super::provider::form_of;
use super::{JobId, Kind, REFRESH, World, dpop};
use rules::Secret;
use vault::Input;

/// A holder of the lock that is not a vault.
const STRANGER: usize = usize::MAX;

/// The lock of the store that vaults share.
#[derive(Default)]
pub(super) struct Lock {
    /// Index of the vault that holds the lock.
    pub(super) holder: Option<usize>,
    /// The job that was granted the lock, if its vault has not been told yet.
    pub(super) granted: Option<JobId>,
    /// Vaults from which another vault has taken the lock over, and that do not know it yet. If a vault does not even know
    /// that it had the lock, the value is the job that was granted it.
    overtaken: BTreeMap<usize, Option<JobId>>,
    /// The number of times that the lock was granted.
    grants: u64,
    /// This number when each waiting vault asked for the lock, or last tried to take it over.
    known_grants: BTreeMap<usize, u64>,
}

impl Lock {
    /// Returns true if the vault holds the lock, as far as it knows.
    pub(super) fn seems_held_by(&self, vault: usize) -> bool {
        self.holder == Some(vault) || self.overtaken.contains_key(&vault)
    }

    pub(super) fn hold(&mut self, vault: usize) {
        self.holder = Some(vault);
        self.grants += 1;
    }

    /// Forgets a vault whose worker has ended.
    pub(super) fn forget(&mut self, vault: usize) {
        self.holder = self.holder.filter(|holder| *holder != vault);
        self.overtaken.remove(&vault);
    }
}

/// The result of a write to the store.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Stored,
    Failed,
    Overtaken,
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
            self.lock.hold(self.jobs.pending[i].vault);
            self.lock.granted = Some(id);
        }
    }

    /// Takes or releases the lock for a holder that is not a vault.
    pub fn seize_lock(&mut self, takes: bool) {
        if takes && self.lock.holder.is_none() {
            self.lock.hold(STRANGER);
        } else if !takes && self.lock.holder == Some(STRANGER) {
            self.lock.holder = None;
        }
    }

    pub(super) fn is_lock_held_by(&self, vault: usize) -> bool {
        self.lock.holder == Some(vault)
    }

    pub(super) fn request_lock(&mut self) {
        let grants = self.lock.grants;
        self.lock.known_grants.insert(self.workers.turn, grants);
    }

    /// Lets the vault take the lock over from a holder that is frozen, or that is not a vault.
    pub(super) fn take_over(&mut self) {
        let (turn, grants) = (self.workers.turn, self.lock.grants);
        let is_same = self.lock.known_grants.insert(turn, grants) == Some(grants);
        let asks = |job: &&Job| job.vault == turn && job.kind == Kind::Lock;
        let Some(job) = self.jobs.pending.iter().find(asks).map(|job| job.id) else {
            return;
        };
        let Some(holder) = self.lock.holder.filter(|_| is_same) else {
            return;
        };
        if holder != STRANGER {
            if !self.workers.frozen.contains(&holder) {
                return;
            }
            self.story(|_| format!("takes the lock over from vault {holder}"));
            let its = |job: &&mut Job| job.vault == holder && job.kind == REFRESH;
            for job in self.jobs.pending.iter_mut().filter(its) {
                job.is_overtaken = true;
                if let Task::Send(_, request, _) = &job.task {
                    self.watch
                        .lost_on_its_way(&form_of(request)["refresh_token"]);
                }
            }
            self.watch.overtaken(holder);
            self.lock.overtaken.insert(holder, self.lock.granted);
            self.workers.turn = holder;
            self.job(Kind::LockLost, Task::LockLost);
            self.workers.turn = turn;
        }
        self.lock.hold(turn);
        self.lock.granted = Some(job);
        self.lock_takeovers += 1;
    }

    /// Releases the lock, unless another vault has taken it over.
    pub(super) fn unlock(&mut self) {
        let turn = self.workers.turn;
        if self.lock.overtaken.remove(&turn).is_some() {
            self.watch.may_store_old_successor();
            let is_news = |job: &Job| job.vault == turn && matches!(job.task, Task::LockLost);
            self.jobs.pending.retain(|job| !is_news(job));
            return;
        }
        assert_eq!(
            self.lock.holder,
            Some(turn),
            "the lock is released by its holder"
        );
        self.lock.holder = None;
        self.watch.sessions.unlocked(turn);
    }

    /// Lets a vault know that another vault has taken the lock over, unless the vault has released the lock since.
    pub(super) fn learns_of_loss(&mut self, vault: usize) {
        if let Some(Some(job)) = self.lock.overtaken.get(&vault) {
            // The browser reports these two events in their order.
            if let Some(i) = self.place_of(*job) {
                self.answer_job(i);
            }
        }
        if self.lock.overtaken.contains_key(&vault) {
            self.watch.may_store_old_successor();
            self.workers.turn = vault;
            self.input(Input::LockLost);
            self.lock.overtaken.remove(&vault);
        }
    }

    /// Handles the end of a request for the lock that may have been granted at the same moment. The host then releases it.
    pub(super) fn gives_up_lock(&mut self, vault: usize, id: JobId) {
        if self.lock.granted == Some(id) {
            (self.lock.granted, self.lock.holder) = (None, None);
        } else if self.lock.overtaken.get(&vault) == Some(&Some(id)) {
            self.lock.overtaken.remove(&vault);
        }
    }

    /// Lets a vault know that it was granted the lock.
    pub(super) fn learns_of_lock(&mut self, vault: usize, id: JobId) {
        if let Some(job) = self.lock.overtaken.get_mut(&vault) {
            *job = None;
            return;
        }
        let granted = self.lock.granted.take_if(|granted| *granted == id);
        assert!(
            granted.is_some() || self.lock.holder.is_none(),
            "one lock is granted twice"
        );
        if granted.is_none() {
            self.lock.hold(vault);
        }
    }

    /// Returns true if the job waits for the lock while another holder has the lock.
    pub(super) fn is_locked_out(&self, job: &Job) -> bool {
        let is_granted = self.lock.granted == Some(job.id)
            || self.lock.overtaken.get(&job.vault) == Some(&Some(job.id));
        job.kind == Kind::Lock && self.lock.holder.is_some() && !is_granted
    }

    /// Returns true if the job with this ID waits for the lock while another holder has the lock.
    pub fn waits_for_lock(&self, id: JobId) -> bool {
        self.place_of(id)
            .is_some_and(|i| self.is_locked_out(&self.jobs.pending[i]))
    }

    /// Lets a pending read return the store's present content, even if the content changes before the vault receives
    /// it.
    pub fn read_now(&mut self, id: JobId) {
        let read = self.read();
        if let Some(i) = self.place_of(id)
            && let Task::Load(_, early @ None, _) = &mut self.jobs.pending[i].task
        {
            *early = Some(read);
        }
    }

    pub(super) fn read(&self) -> Read {
        Read {
            loaded: self.store.session(),
            record: self.watch.sessions.record(),
            version: self.store.session_version(),
        }
    }

    /// Lets this write reach the store even if the vault cancels it.
    pub fn land_late(&mut self, id: JobId) {
        self.jobs.landing_late.insert(id);
    }

    /// Lets a pending write reach the store. The vault is not told yet.
    pub fn write_lands(&mut self, id: JobId) {
        if let Some(i) = self.place_of(id)
            && let Task::Persist(_, Some(state), key, known) = &self.jobs.pending[i].task
        {
            let (state, key, known) = (state.clone(), key.clone(), known.clone());
            let vault = self.jobs.pending[i].vault;
            self.write(vault, state, key, &known);
            // The vault's own record may be there when the write ends.
            if let Task::Persist(.., known) = &mut self.jobs.pending[i].task {
                known.extend(self.store.session_version());
            }
        }
    }

    pub(super) fn write(
        &mut self,
        vault: usize,
        state: Secret,
        key: Option<dpop::Named>,
        known: &[u64],
    ) -> Written {
        let text = state.expose().to_owned();
        let version = self.store.session_version();
        let is_known = version.is_none_or(|version| known.contains(&version));
        let works = is_known && self.persists && self.store.put_session(state, key);
        if works {
            self.known_versions[vault].extend(self.store.session_version());
        }
        self.watch.written(vault, &text, works);
        match works {
            true => Written::Stored,
            false if is_known => Written::Failed,
            false => Written::Overtaken,
        }
    }

    /// Clears the site's data, including the tombstones of ended sessions.
    pub fn clear_site_data(&mut self) {
        self.store.clear();
        self.watch.sessions.forget_ends();
    }

    /// Makes the stored session unreadable. The oracle then no longer relies on the tombstones of ended sessions.
    pub fn damage_store(&mut self) {
        self.store.is_damaged = true;
        self.watch.sessions.forget_ends();
    }
}
