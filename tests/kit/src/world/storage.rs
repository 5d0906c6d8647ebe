//! The store that vaults share, and its lock.

use std::collections::BTreeMap;

use super::jobs::{Job, Read, Task};
use super::provider::{form_of, text};
use super::sessions::Record;
use super::{JobId, Kind, REFRESH, World, dpop};
use rules::Secret;
use rules::base::clock::UnixMillis;
use rules::codec::json::{Object, Value};
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

/// A copy of the record of a session.
#[derive(Clone)]
pub struct Copied {
    vault: usize,
    text: Secret,
    key: Option<dpop::Named>,
    record: Record,
}

impl Copied {
    /// Returns the identifier of the session.
    pub fn sid(&self) -> &str {
        self.record.sid()
    }

    /// Returns the copy with other numbers in these members.
    pub fn changed(&self, members: &[(&str, u64)]) -> Self {
        let mut copied = self.clone();
        let mut changed = Object::new();
        let value = Value::parse(self.text.expose()).unwrap();
        for (name, value) in value.as_object().unwrap().iter() {
            let number = members.iter().find(|(of, _)| *of == name);
            let value = number.map_or_else(|| value.clone(), |(_, number)| (*number).into());
            changed.push(name, value);
            if let Some((_, at)) = number.filter(|_| name == "kept_at") {
                copied.record.kept_again(*at);
            }
        }
        copied.text = text(&changed).into();
        copied
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
    /// Returns the index of a vault that holds the lock of its record, if any.
    pub fn lock_holder(&self) -> Option<usize> {
        self.locks.values().find_map(|lock| lock.holder)
    }

    /// Returns the lock of a vault's record.
    pub(super) fn lock(&self, vault: usize) -> Option<&Lock> {
        self.locks.get(&self.workers.names[vault].record)
    }

    pub(super) fn lock_mut(&mut self, vault: usize) -> &mut Lock {
        let record = self.workers.names[vault].record.clone();
        self.locks.entry(record).or_default()
    }

    /// Grants the lock. A frozen vault can hold the lock without knowing, and other vaults then cannot get it.
    pub fn grant_lock(&mut self, id: JobId) {
        if let Some(i) = self.place_of(id) {
            let vault = self.jobs.pending[i].vault;
            let lock = self.lock_mut(vault);
            if lock.holder.is_none() {
                lock.hold(vault);
                lock.granted = Some(id);
            }
        }
    }

    /// Takes or releases the free locks for a holder that is not a vault.
    pub fn seize_lock(&mut self, takes: bool) {
        for vault in 0..self.workers.vaults.len() {
            let lock = self.lock_mut(vault);
            if takes && lock.holder.is_none() {
                lock.hold(STRANGER);
            } else if !takes && lock.holder == Some(STRANGER) {
                lock.holder = None;
            }
        }
    }

    pub(super) fn is_lock_held_by(&self, vault: usize) -> bool {
        self.lock(vault).and_then(|lock| lock.holder) == Some(vault)
    }

    /// Returns true if the vault holds the lock, as far as it knows.
    pub(super) fn seems_to_hold_lock(&self, vault: usize) -> bool {
        self.is_lock_held_by(vault) || self.has_lost_lock(vault)
    }

    /// Returns true if another vault has taken the lock over, and the vault does not know this yet.
    pub(super) fn has_lost_lock(&self, vault: usize) -> bool {
        self.lock(vault)
            .is_some_and(|lock| lock.overtaken.contains_key(&vault))
    }

    pub(super) fn request_lock(&mut self) {
        let turn = self.workers.turn;
        let lock = self.lock_mut(turn);
        lock.known_grants.insert(turn, lock.grants);
    }

    /// Lets the vault take the lock over from a holder that is frozen, or that is not a vault.
    pub(super) fn take_over(&mut self) {
        let turn = self.workers.turn;
        let lock = self.lock_mut(turn);
        let is_same = lock.known_grants.insert(turn, lock.grants) == Some(lock.grants);
        let holder = lock.holder.filter(|_| is_same);
        let asks = |job: &&Job| job.vault == turn && job.kind == Kind::Lock;
        let Some(job) = self.jobs.pending.iter().find(asks).map(|job| job.id) else {
            return;
        };
        let Some(holder) = holder else {
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
            let lock = self.lock_mut(turn);
            lock.overtaken.insert(holder, lock.granted);
            self.workers.turn = holder;
            self.job(Kind::LockLost, Task::LockLost);
            self.workers.turn = turn;
        }
        let lock = self.lock_mut(turn);
        lock.hold(turn);
        lock.granted = Some(job);
        self.lock_takeovers += 1;
    }

    /// Releases the lock, unless another vault has taken it over.
    pub(super) fn unlock(&mut self) {
        let turn = self.workers.turn;
        let lock = self.lock_mut(turn);
        if lock.overtaken.remove(&turn).is_some() {
            let is_news = |job: &Job| job.vault == turn && matches!(job.task, Task::LockLost);
            self.jobs.pending.retain(|job| !is_news(job));
            return;
        }
        assert_eq!(
            lock.holder,
            Some(turn),
            "the lock is released by its holder"
        );
        lock.holder = None;
        self.watch.sessions.unlocked(turn);
    }

    /// Lets a vault know that another vault has taken the lock over, unless the vault has released the lock since.
    pub(super) fn learns_of_loss(&mut self, vault: usize) {
        if let Some(Some(job)) = self.lock_mut(vault).overtaken.get(&vault).copied() {
            // The browser reports these two events in their order.
            if let Some(i) = self.place_of(job) {
                self.answer_job(i);
            }
        }
        if self.lock_mut(vault).overtaken.contains_key(&vault) {
            self.workers.turn = vault;
            self.input(Input::LockLost);
            self.lock_mut(vault).overtaken.remove(&vault);
        }
    }

    /// Handles the end of a request for the lock that may have been granted at the same moment. The host then releases it.
    pub(super) fn gives_up_lock(&mut self, vault: usize, id: JobId) {
        let lock = self.lock_mut(vault);
        if lock.granted == Some(id) {
            (lock.granted, lock.holder) = (None, None);
        } else if lock.overtaken.get(&vault) == Some(&Some(id)) {
            lock.overtaken.remove(&vault);
        }
    }

    /// Lets a vault know that it was granted the lock.
    pub(super) fn learns_of_lock(&mut self, vault: usize, id: JobId) {
        let lock = self.lock_mut(vault);
        if let Some(job) = lock.overtaken.get_mut(&vault) {
            *job = None;
            return;
        }
        let granted = lock.granted.take_if(|granted| *granted == id);
        assert!(
            granted.is_some() || lock.holder.is_none(),
            "one lock is granted twice"
        );
        if granted.is_none() {
            lock.hold(vault);
        }
    }

    /// Returns true if the job waits for the lock while another holder has the lock.
    pub(super) fn is_locked_out(&self, job: &Job) -> bool {
        let is_another = |lock: &Lock| {
            let is_granted = lock.granted == Some(job.id)
                || lock.overtaken.get(&job.vault) == Some(&Some(job.id));
            lock.holder.is_some() && !is_granted
        };
        job.kind == Kind::Lock && self.lock(job.vault).is_some_and(is_another)
    }

    /// Returns true if the job with this ID waits for the lock while another holder has the lock.
    pub fn waits_for_lock(&self, id: JobId) -> bool {
        self.place_of(id)
            .is_some_and(|i| self.is_locked_out(&self.jobs.pending[i]))
    }

    /// Lets a pending read return the store's present content, even if the content changes before the vault receives
    /// it.
    pub fn read_now(&mut self, id: JobId) {
        let Some(i) = self.place_of(id) else {
            return;
        };
        let read = self.read(self.jobs.pending[i].vault);
        if let Task::Load(_, early @ None, _) = &mut self.jobs.pending[i].task {
            *early = Some(read);
        }
    }

    pub(super) fn read(&self, vault: usize) -> Read {
        let name = &self.workers.names[vault].record;
        Read {
            loaded: self.store.session(name),
            record: self.watch.sessions.record(vault),
            version: self.store.session_version(name),
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
                let name = &self.workers.names[vault].record;
                known.extend(self.store.session_version(name));
            }
        }
    }

    pub(super) fn write(
        &mut self,
        vault: usize,
        (state, expires_at): (Secret, UnixMillis),
        key: Option<dpop::Named>,
        known: &[u64],
    ) -> Written {
        let text = state.expose().to_owned();
        let name = self.workers.names[vault].record.clone();
        let version = self.store.session_version(&name);
        let is_known = version.is_none_or(|version| known.contains(&version));
        let works = is_known && self.persists && self.store.put_session(&name, state, key);
        if works {
            self.known_versions[vault].extend(self.store.session_version(&name));
        }
        self.discard_expired(vault, works.then_some((&name, expires_at)));
        self.watch.written(vault, &text, works);
        match works {
            true => Written::Stored,
            false if is_known => Written::Failed,
            false => Written::Overtaken,
        }
    }

    /// Discards records that have expired by the wall clock of this vault, as the host does with each write. `written` is the record
    /// that was written, and its expiry.
    pub(super) fn discard_expired(&mut self, vault: usize, written: Option<(&str, UnixMillis)>) {
        if let Some((name, expires_at)) = written {
            self.store.expires(name, expires_at);
            let discarded = self.store.discard_expired(self.time_of(vault).wall);
            self.discarded += discarded;
            if discarded > 0 {
                // A session or a tombstone may be among them.
                self.watch.sessions.forget_ends();
            }
        }
    }

    /// Returns a copy of a vault's record, as a script of the origin could make it.
    pub fn copy_record(&self, vault: usize) -> Option<Copied> {
        let (text, key) = self.store.copy_session(&self.workers.names[vault].record)?;
        let record = self.watch.sessions.record(vault)?;
        Some(Copied {
            vault,
            text,
            key,
            record,
        })
    }

    /// Puts a copied record back, and tells all vaults that the store has changed.
    pub fn put_back(&mut self, copied: &Copied) {
        let name = self.workers.names[copied.vault].record.clone();
        let (text, key) = (copied.text.clone(), copied.key.clone());
        if self.store.put_session(&name, text, key) {
            self.watch.sessions.put_back(copied.vault, &copied.record);
        }
        for vault in 0..self.workers.vaults.len() {
            if self.workers.names[vault].record == name {
                self.announce_change_to(vault);
            }
        }
    }

    /// Tells a vault that the store has changed, as a script of the origin could.
    pub fn announce_change_to(&mut self, vault: usize) {
        self.workers.turn = vault;
        self.job(Kind::Changed, Task::Changed);
    }

    /// Clears the site's data, including the tombstones of ended sessions.
    pub fn clear_site_data(&mut self) {
        self.store.clear();
        self.watch.sessions.forget_ends();
    }

    /// Makes the stored sessions unreadable. The oracle then no longer relies on the tombstones of ended sessions.
    pub fn damage_store(&mut self) {
        self.store.damage();
        self.watch.sessions.forget_ends();
    }
}
